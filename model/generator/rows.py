"""The best of a product's grid of halves, with a close look at a few of its rows only.

A combination's log-odds are those of its halves and what the pair adds. What the pair adds does
not depend on the context, so it is worked out once a product; a request adds its halves' own
terms. A row's best is at most its own term, the most that any pair of the row adds and the best
second half: rows are looked at from the highest bound down, until none that is left can reach the
k best (branch and bound), so what is found is exact.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

import torch
from torch import Tensor

from model.combinations import Space
from model.generator.grid import Halves
from model.generator.ranking import MOST, finite, ranked
from model.reward.members import mode
from model.reward.pieces import Pieces

LOOKED = 1_000_000  # combinations looked at at once
ROWS = 2  # rows looked at first, for each combination that is asked for
KEPT_CELLS = 16_000_000  # of all grids that are remembered together, 8 bytes each
SHARED_NODES, SHAPES = 100, 64  # halves of so many small automata are kept for other products
SLACK = 1e-12  # of a reward: rounding in float64 moves it by less
SPARE = 16  # combinations looked at beyond those asked for, to find ties


@dataclass(frozen=True, eq=False)
class Own:
    """How a half's own terms are summed: (slot, candidate of each half (n,), shown (n,) or None)."""

    terms: tuple[tuple[int, Tensor, Tensor | None], ...]

    @staticmethod
    def of(half: Tensor) -> "Own":
        terms = []
        for slot in range(half.shape[1]):
            shown = half[:, slot] >= 0
            if bool(shown.any()):
                mask = None if bool(shown.all()) else shown
                terms.append((slot, half[:, slot].clamp(min=0), mask))
        return Own(tuple(terms))

    def sums(self, unary: Tensor) -> Tensor:
        """(B, n) sums of the elements' own terms (B, S, K)."""
        total = None
        for slot, index, shown in self.terms:
            term = unary[:, slot].index_select(1, index)
            term = term if shown is None else term * shown
            total = term if total is None else total + term
        assert total is not None, "a half of a legal combination has an element in some slot"
        return total


@dataclass(frozen=True, eq=False)
class Shape:
    """The halves of an automaton, the same for every product that has one like it."""

    step: object  # the automaton's table
    halves: Halves
    legal: Tensor | None  # (n, m) bool, None = every pair is listed
    own: tuple[Own, Own]

    @staticmethod
    def of(space: Space) -> "Shape | None":
        halves = Halves.between(space)
        if halves is None:
            return None
        own = Own.of(halves.first), Own.of(halves.second)
        if halves.place is None:
            return Shape(space.step, halves, None, own)
        legal = torch.zeros(len(halves.first) * len(halves.second), dtype=torch.bool)
        legal[halves.place] = True
        return Shape(space.step, halves, legal.view(len(halves.first), len(halves.second)), own)


@dataclass(eq=False)
class Grid:
    """A product's halves with what pairs of them add, for the factors that were seen last."""

    shape: Shape
    _factor: Tensor | None = None
    _pairs: tuple[Tensor, Tensor] = field(default_factory=lambda: (torch.zeros(0), torch.zeros(0)))

    @property
    def cells(self) -> int:
        return len(self.shape.halves.first) * len(self.shape.halves.second)

    def pairs(self, factor: Tensor) -> tuple[Tensor, Tensor]:
        """What each pair adds to the log-odds (n, m) float64, and the most of each row (n,).

        factor (S, K, R).
        """
        if self._factor is None or not torch.equal(self._factor, factor):
            halves = self.shape.halves
            (first, within), (second, beyond) = (
                _factors(factor, half) for half in (halves.first, halves.second)
            )
            added = torch.addmm(beyond[None], first, second.T).add_(within[:, None])
            if self.shape.legal is not None:
                added.masked_fill_(~self.shape.legal, -torch.inf)
            self._factor, self._pairs = factor.clone(), (added, added.amax(1))
        return self._pairs


def _factors(factor: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """(factor sums (n, R), interactions inside each half (n,))."""
    slots, shown = torch.arange(half.shape[1]), half >= 0
    parts = (factor[slots, half.clamp(min=0)] * shown[..., None]).double()
    total = parts.sum(1)
    return total, 0.5 * (total.square() - parts.square().sum(1)).sum(1)


class Grids:
    """Grids by product, the ones asked for last; together they hold at most `most` cells.

    Safe to share: a server loads its next policy in one thread while another answers.
    """

    def __init__(self, most: int = KEPT_CELLS):
        self._most, self._cells = most, 0
        self._kept: OrderedDict[Space, Grid | None] = OrderedDict()
        self._lock = Lock()

    def of(self, space: Space) -> Grid | None:
        """The product's grid, made where it is not remembered."""
        with self._lock:
            return self._found(space)

    def _found(self, space: Space) -> Grid | None:
        if space in self._kept:
            self._kept.move_to_end(space)
            return self._kept[space]
        shape = _shapes.of(space)
        grid = None if shape is None else Grid(shape)
        self._kept[space] = grid
        self._cells += _weight(grid)
        while self._cells > self._most and len(self._kept) > 1:
            self._cells -= _weight(self._kept.popitem(last=False)[1])
        return grid


class Shapes:
    """Spaces that share an automaton (see `space_of`) share its halves; small ones are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Shape] = OrderedDict()
        self._lock = Lock()

    def of(self, space: Space) -> Shape | None:
        """The shape of the space's automaton, made where it is not kept."""
        with self._lock:
            known = self._kept.get(id(space.step))
            if known is not None:  # it holds its table, so no other one can have the table's id
                return known
            shape = Shape.of(space)
            if shape is not None and len(space.step) <= SHARED_NODES:
                self._kept[id(space.step)] = shape
                if len(self._kept) > SHAPES:
                    self._kept.popitem(last=False)
            return shape


_shapes = Shapes()


def _weight(grid: Grid | None) -> int:
    return 1000 if grid is None else grid.cells + 1000


def fits(pieces: object) -> bool:
    """Whether the reward rises with each of its heads."""
    if not isinstance(pieces, Pieces) or not pieces.scale.slope > 0:
        return False
    return pieces.scale.target != "value" or bool((pieces.scale.worth >= 0).all())


@dataclass(frozen=True, eq=False)
class Sums:
    """Terms of B requests by halves: first (B, n), second (B, m) of each head of the reward."""

    pieces: Pieces
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]

    @staticmethod
    def of(pieces: Pieces, grid: Grid) -> "Sums":
        base, unary = mode(pieces.base, 1).double(), mode(pieces.unary, 3).double()
        one, other = grid.shape.own
        heads = range(pieces.heads)
        return Sums(
            pieces,
            tuple(one.sums(unary[..., head]) + base[:, head, None] for head in heads),
            tuple(other.sums(unary[..., head]) for head in heads),
        )

    def bound(self, most: Tensor) -> Tensor:
        """(B, n) no combination of the row earns more: what is earned rises with every head."""
        pairs = zip(self.first, self.second, strict=True)
        heads = [one + other.amax(1, keepdim=True) for one, other in pairs]
        heads[0] = heads[0] + most
        return finite(self.pieces.scale.reward(heads))

    def cells(self, pairs: Tensor, row: Tensor) -> Tensor:
        """(B, r m) rewards of rows (B, r), -inf where not legal."""
        parts = zip(self.first, self.second, strict=True)
        heads = [one.gather(1, row)[:, :, None] + other[:, None] for one, other in parts]
        heads[0] += pairs[row]
        reward = self.pieces.scale.reward(heads)
        return reward.masked_fill_(heads[0] == -torch.inf, -torch.inf).flatten(1)

    def take(self, rows: Tensor) -> "Sums":
        first, second = (tuple(h[rows] for h in heads) for heads in (self.first, self.second))
        return Sums(self.pieces.take(rows), first, second)


def best_of_grid(pieces: Pieces, grid: Grid, k: int, grain: float) -> Tensor:
    """(B, k, S) the k best combinations of one product in B contexts, ties to the earlier one."""
    pairs, most = grid.pairs(mode(pieces.factor[0], 2))
    sums, halves = Sums.of(pieces, grid), grid.shape.halves
    bound = sums.bound(most)
    best = torch.empty(len(bound), k, halves.first.shape[1], dtype=torch.int64)
    left, rows = torch.arange(len(bound)), ROWS * k
    while len(left):
        unsure = []
        for part in left.split(max(LOOKED // (rows * pairs.shape[1]), 1)):
            whole = len(part) == len(bound)
            own, limit = (sums, bound) if whole else (sums.take(part), bound[part])
            row, beyond = _highest(limit, rows)
            place, least = _best_cells(own.cells(pairs, row), k, grain)
            first = halves.first[row.gather(1, place // pairs.shape[1])]
            best[part] = torch.maximum(first, halves.second[place % pairs.shape[1]])
            unsure.append(part[beyond >= _edge(least, grain)])
        left, rows = torch.cat(unsure), 4 * rows
    return best


def _highest(bound: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """(the rows of highest bound, in order (B, r); the bound of all others (B,), -inf = none)."""
    if rows >= bound.shape[1]:
        every = torch.arange(bound.shape[1]).expand(len(bound), -1)
        return every, torch.full((len(bound),), -torch.inf, dtype=bound.dtype)
    highest = bound.topk(rows + 1)
    return highest.indices[:, :rows].sort(1).values, highest.values[:, rows]


def _edge(reward: Tensor, grain: float) -> Tensor:
    """What is below is in a later step of `grain` than `reward` is."""
    return (torch.round(reward / grain).clamp(max=MOST) - 0.5) * grain - SLACK


def _best_cells(reward: Tensor, k: int, grain: float) -> tuple[Tensor, Tensor]:
    """(places of the k highest rewards (B, k), ties to the earlier; the least of these (B,))."""
    highest = reward.topk(min(k + SPARE, reward.shape[1]))
    least = highest.values[:, k - 1]
    if highest.values.shape[1] < reward.shape[1] and bool(
        (highest.values[:, -1] >= _edge(least, grain)).any()
    ):
        return ranked(reward, grain, k), least
    place, order = highest.indices.sort(1)
    return place.gather(1, ranked(highest.values.gather(1, order), grain, k)), least
