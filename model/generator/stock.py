"""What can be known of a product before anybody asks for it, kept for the next request.

The proposals' encoder pass and the reward network's reading of the candidates depend on the
product alone. They are the same numbers as without this memory, to the last rounding.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.combinations import Space
from model.elements import Elements
from model.generator.lattice import Lattice
from model.generator.policy import Generator, Proposer
from model.reward.scoring import Kept, RewardModel, Scores


@dataclass(frozen=True, eq=False)
class Stocked:
    """Products ready to be asked for."""

    proposer: Proposer
    shelf: Kept

    def pieces(self, product: np.ndarray, context: Mapping[str, np.ndarray]) -> Scores:
        """What the reward of any combination needs, for requests of its products (B,)."""
        return self.shelf.pieces(product, context)

    def take(self, place: int) -> "Stocked":
        """One of its products."""
        if len(self.proposer.lattice.spaces) == 1:
            return self
        options = self.proposer.lattice.spaces[place].step.shape[1] - 1
        return Stocked(self.proposer.take(place), self.shelf.take(place, options))


class Stock:
    """The products asked for last, at most `most` of them."""

    def __init__(
        self, reward: RewardModel, generator: Generator | None, elements: Elements, most: int
    ):
        self._reward, self._generator, self._elements = reward, generator, elements
        self._most = most
        # Read together with others, a product is cut out of them when it is asked for again.
        self._kept: OrderedDict[str, tuple[Stocked, int]] = OrderedDict()

    def of(self, spaces: Sequence[Space]) -> Stocked:
        """These products side by side; those not remembered are read in one pass."""
        new = [space for space in spaces if space.product_id not in self._kept]
        whole = self.read(new) if new else None
        if whole is not None:
            self._kept |= {space.product_id: (whole, at) for at, space in enumerate(new)}
        found = whole if whole and len(new) == len(spaces) else self._side_by_side(spaces)
        for space in spaces:
            self._kept.move_to_end(space.product_id)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found

    def _side_by_side(self, spaces: Sequence[Space]) -> Stocked:
        found = []
        for space in spaces:
            whole, place = self._kept[space.product_id]
            found.append(whole.take(place))
            self._kept[space.product_id] = found[-1], 0
        if len(found) == 1:
            return found[0]
        shelf = found[0].shelf.beside([one.shelf for one in found[1:]])
        return Stocked(Proposer.join([one.proposer for one in found]), shelf)

    def read(self, spaces: Sequence[Space]) -> Stocked:
        """These products read anew, none of them kept."""
        proposer = proposer_of(self._generator, self._elements, spaces)
        names = [space.product_id for space in spaces]
        shelf = self._reward.shelf(names, self._elements, proposer.lattice.rows)
        return Stocked(proposer, shelf)


def proposer_of(
    generator: Generator | None, elements: Elements, spaces: Sequence[Space]
) -> Proposer:
    """The generator bound to these products; without one, uniform."""
    if generator is None:
        return Proposer(Lattice.pack(spaces))
    return generator.over(elements, spaces)
