"""What pairs of halves add to a product's log-odds, worked out once and kept for the next request.

It does not depend on the context; products without rules and as many candidates share their halves.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import torch
from torch import Tensor

from model.combinations import Space
from model.generator.grid import Halves
from model.generator.shared import Shared

KEPT_CELLS = 16_000_000  # of all grids that are remembered together, 8 bytes each


@dataclass(frozen=True, eq=False)
class Half:
    """One side of a grid: combinations (n, S) of some slots, the others absent."""

    options: Tensor
    slots: tuple[int, ...]  # in which any of them shows something
    place: tuple[Tensor, ...]  # by slot (n,): the candidate shown
    shown: tuple[Tensor | None, ...]  # by slot (n,) bool, None = all of them show something

    @staticmethod
    def of(options: Tensor) -> "Half":
        there = options >= 0
        slots = tuple(s for s in range(options.shape[1]) if bool(there[:, s].any()))
        place = tuple(options[:, s].clamp(min=0) for s in slots)
        shown = tuple(None if bool(there[:, s].all()) else there[:, s] for s in slots)
        return Half(options, slots, place, shown)

    def sums(self, unary: Tensor) -> Tensor:
        """(B, n) sums of the elements' own terms (B, S, K)."""
        total = None
        for slot, index, shown in zip(self.slots, self.place, self.shown, strict=True):
            term = unary[:, slot].index_select(1, index)
            term = term if shown is None else term * shown
            total = term if total is None else total + term
        assert total is not None, "a half of a legal combination has an element in some slot"
        return total

    def factors(self, factor: Tensor) -> tuple[Tensor, Tensor]:
        """(factor sums (n, R), interactions inside each half (n,)) of factors (S, K, R)."""
        total = within = None
        for slot, index, shown in zip(self.slots, self.place, self.shown, strict=True):
            part = factor[slot].index_select(0, index)
            part = part if shown is None else part * shown[:, None]
            if total is None:
                total = part
                continue
            met = (total * part).sum(1)
            within = met if within is None else within + met
            total = total + part
        assert total is not None, "see sums"
        return total, total.new_zeros(len(total)) if within is None else within


@dataclass(frozen=True, eq=False)
class Shape:
    """The halves of an automaton, the same for every product that has one like it."""

    first: Half
    second: Half
    illegal: Tensor | None  # (n, m) bool, None = every pair is listed

    @staticmethod
    def of(space: Space) -> "Shape | None":
        halves = Halves.between(space)
        if halves is None:
            return None
        first, second, illegal = Half.of(halves.first), Half.of(halves.second), None
        if halves.place is not None:
            illegal = torch.ones(len(halves.first) * len(halves.second), dtype=torch.bool)
            illegal[halves.place] = False
            illegal = illegal.view(len(halves.first), len(halves.second))
        return Shape(first, second, illegal)

    @cached_property
    def size(self) -> tuple[int, int]:
        """How many first and second halves there are."""
        return len(self.first.options), len(self.second.options)


@dataclass(frozen=True, eq=False)
class Pairs:
    """What pairs of halves add: added (n, m) float64, -inf = not legal; by_row (n,) and
    by_column (m,): the most of each."""

    factor: Tensor  # (S, K, R), of which it was worked out
    added: Tensor
    by_row: Tensor
    by_column: Tensor

    @staticmethod
    def of(shape: Shape, factor: Tensor) -> "Pairs":
        wide = factor.double()
        (first, within), (second, beyond) = shape.first.factors(wide), shape.second.factors(wide)
        added = torch.addmm(beyond[None], first, second.T).add_(within[:, None])
        if shape.illegal is not None:
            added.masked_fill_(shape.illegal, -torch.inf)
        return Pairs(factor.clone(), added, added.amax(1), added.amax(0))


@dataclass(eq=False)
class Grid:
    """A product's halves with what pairs of them add, for the factors that were seen last."""

    shape: Shape
    _pairs: Pairs | None = None

    def pairs(self, factor: Tensor) -> Pairs:
        """Of the product's factors (S, K, R)."""
        known = self._pairs
        if known is None or not torch.equal(known.factor, factor):
            known = self._pairs = Pairs.of(self.shape, factor)
        return known


class Grids:
    """Grids by product, the ones asked for last; together they hold at most `most` cells.

    Safe to share: a server loads its next policy in one thread while another answers.
    """

    def __init__(self, most: int = KEPT_CELLS):
        self._most, self._cells = most, 0
        self._kept: OrderedDict[tuple[Space, int], Grid | None] = OrderedDict()
        self._lock = Lock()

    def of(self, space: Space, reward: int = 0) -> Grid | None:
        """The product's grid for this one of several rewards, made where it is not remembered."""
        with self._lock:
            return self._found(space, reward)

    def _found(self, space: Space, reward: int) -> Grid | None:
        key = space, reward
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        shape = _shapes.of(space)
        grid = None if shape is None else Grid(shape)
        self._kept[key] = grid
        self._cells += _weight(grid)
        while self._cells > self._most and len(self._kept) > 1:
            self._cells -= _weight(self._kept.popitem(last=False)[1])
        return grid


_shapes = Shared(Shape.of)


def _weight(grid: Grid | None) -> int:
    return 1000 if grid is None else grid.shape.size[0] * grid.shape.size[1] + 1000
