"""The members of a reward model's ensemble, each as a reward model of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.elements import Elements
from model.reward.fit import Reward
from model.reward.pieces import Pieces
from model.reward.scoring import Unread


@dataclass(frozen=True, eq=False)
class Member:
    """One member, believed without doubt; scores like a reward model."""

    whole: Reward
    number: int

    @property
    def base_rate(self) -> float:
        return self.whole.base_rate

    def pieces(
        self,
        product_id: Sequence[str],
        context: Mapping[str, np.ndarray],
        elements: Elements,
        candidates: np.ndarray,
        device: str = "cpu",
    ) -> Pieces:
        """The pieces of this member only."""
        found = self.whole.pieces(product_id, context, elements, candidates, device)
        own = slice(self.number, self.number + 1)
        return Pieces(
            found.base[:, own], found.unary[..., own, :], found.factor[..., own, :], found.scale
        )

    def shelf(
        self, product_id: Sequence[str], elements: Elements, candidates: np.ndarray
    ) -> Unread:
        """Nothing is kept of a member alone."""
        return Unread.of(self, product_id, elements, candidates)


def members(reward: Reward, count: int) -> list[Member]:
    """Each of the ensemble's `count` members."""
    return [Member(reward, number) for number in range(count)]
