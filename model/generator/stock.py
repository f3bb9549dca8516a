"""What can be known of a product before anybody asks for it, kept for the next request.

The proposals' encoder pass and the reward network's reading of the candidates depend on the
product alone. They are the same numbers as without this memory, to the last rounding.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.combinations import Space
from model.elements import Elements
from model.generator.lattice import Lattice
from model.generator.policy import Generator, Proposer

if TYPE_CHECKING:
    from model.reward.fit import Reward
    from model.reward.pieces import Pieces
    from model.reward.shelf import Shelf


@dataclass(frozen=True, eq=False)
class Stocked:
    """Products ready to be asked for; shelf None = the reward model keeps nothing of them."""

    proposer: Proposer
    shelf: "Shelf | None"


class Stock:
    """The products asked for last, at most `most` of them."""

    def __init__(
        self, reward: "Reward", generator: Generator | None, elements: Elements, most: int
    ):
        self._reward, self._generator, self._elements = reward, generator, elements
        self._most = most
        self._kept: OrderedDict[str, Stocked] = OrderedDict()

    def of(self, spaces: Sequence[Space]) -> Stocked:
        """These products side by side; those not remembered are read in one pass."""
        new = [space for space in spaces if space.product_id not in self._kept]
        if new:
            whole = self.read(new)
            for place, space in enumerate(new):
                self._kept[space.product_id] = whole if len(new) == 1 else _one(whole, place)
        found = [self._kept[space.product_id] for space in spaces]
        for space in spaces:
            self._kept.move_to_end(space.product_id)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found[0] if len(found) == 1 else _side_by_side(found)

    def read(self, spaces: Sequence[Space]) -> Stocked:
        """These products read anew, none of them kept."""
        proposer = proposer_of(self._generator, self._elements, spaces)
        if not hasattr(self._reward, "shelf"):
            return Stocked(proposer, None)
        names = [space.product_id for space in spaces]
        shelf = self._reward.shelf(names, self._elements, proposer.lattice.rows)
        return Stocked(proposer, shelf)

    def pieces(
        self, stocked: Stocked, product: np.ndarray, context: Mapping[str, np.ndarray]
    ) -> "Pieces":
        """What the reward of any combination needs, for requests of its products (B,)."""
        if stocked.shelf is not None:
            return stocked.shelf.pieces(product, context)
        lattice = stocked.proposer.lattice
        names = [lattice.spaces[at].product_id for at in product]
        return self._reward.pieces(names, context, self._elements, lattice.rows[product])


def proposer_of(
    generator: Generator | None, elements: Elements, spaces: Sequence[Space]
) -> Proposer:
    """The generator bound to these products; without one, uniform."""
    if generator is None:
        return Proposer(Lattice.pack(spaces))
    return generator.over(elements, spaces)


def _one(whole: Stocked, place: int) -> Stocked:
    options = whole.proposer.lattice.spaces[place].step.shape[1] - 1
    shelf = None if whole.shelf is None else whole.shelf.take(place, options)
    return Stocked(whole.proposer.take(place), shelf)


def _side_by_side(found: Sequence[Stocked]) -> Stocked:
    from model.reward.shelf import Shelf

    shelves = [one.shelf for one in found if one.shelf is not None]
    shelf = Shelf.join(shelves) if shelves else None
    return Stocked(Proposer.join([one.proposer for one in found]), shelf)
