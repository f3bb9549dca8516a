"""What the generator and the served policy ask of a reward model, whichever it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from torch import Tensor

from model.elements import Elements


class Scores(Protocol):
    """Rewards of any combinations of B requests' candidates, K in each of S slots.

    Combinations are (B, G, S) int64 indices into K, -1 for an absent slot.
    """

    def take(self, rows: Tensor) -> Self:
        """These requests, in their order."""
        ...

    def score(self, combinations: Tensor) -> tuple[Tensor, Tensor]:
        """(B, G) mean reward, and how far the model may be off."""
        ...

    def mean(self, combinations: Tensor) -> Tensor:
        """(B, G) mean reward, as `score` has it."""
        ...

    def singles(self) -> tuple[Tensor, Tensor]:
        """(B, S, K) mean and spread of each candidate shown alone; anything where there is none."""
        ...

    def drawn(self, deviation: float) -> tuple[int, Self]:
        """(D, the scores of D rewards that may be true as well, all requests for each in turn).

        deviation: how far these lie off the mean one, of the model's own doubt.
        """
        ...


class Kept(Protocol):
    """The candidates of P products, read once, to be met with any context."""

    def pieces(self, product: np.ndarray, context: Mapping[str, np.ndarray]) -> Scores:
        """The scores of requests of products (B,) here."""
        ...

    def take(self, product: int, options: int) -> Self:
        """One product alone, with at most so many candidates in a slot."""
        ...

    def beside(self, others: Sequence[Self]) -> Self:
        """This one and others of the same reward model, products in their order."""
        ...


class RewardModel(Protocol):
    """Predicts what a display of a combination earns."""

    @property
    def base_rate(self) -> float:
        """What a display earned on average in the log."""
        ...

    def pieces(
        self,
        product_id: Sequence[str],
        context: Mapping[str, np.ndarray],
        elements: Elements,
        candidates: np.ndarray,
        device: str = "cpu",
    ) -> Scores:
        """The scores of requests with candidates (B, S, K): rows in elements, -1 = padding."""
        ...

    def shelf(self, product_id: Sequence[str], elements: Elements, candidates: np.ndarray) -> Kept:
        """Products' candidates (P, S, K), read once."""
        ...


@dataclass(frozen=True, eq=False)
class Unread:
    """Products of a reward model that keeps nothing of them: it is asked anew for every request."""

    reward: RewardModel
    product_id: tuple[str, ...]
    elements: Elements
    candidates: np.ndarray  # (P, S, K)

    @staticmethod
    def of(
        reward: RewardModel,
        product_id: Sequence[str],
        elements: Elements,
        candidates: np.ndarray,
    ) -> "Unread":
        return Unread(reward, tuple(product_id), elements, candidates)

    def pieces(self, product: np.ndarray, context: Mapping[str, np.ndarray]) -> Scores:
        names = [self.product_id[at] for at in product]
        return self.reward.pieces(names, context, self.elements, self.candidates[product])

    def take(self, product: int, options: int) -> "Unread":
        one = slice(product, product + 1)
        own = self.candidates[one, :, :options]
        return Unread(self.reward, self.product_id[one], self.elements, own)

    def beside(self, others: Sequence["Unread"]) -> "Unread":
        every = [self, *others]
        widest = max(one.candidates.shape[2] for one in every)
        wide = [
            np.pad(c, ((0, 0), (0, 0), (0, widest - c.shape[2])), constant_values=-1)
            for c in (one.candidates for one in every)
        ]
        names = tuple(name for one in every for name in one.product_id)
        return Unread(self.reward, names, self.elements, np.concatenate(wide))
