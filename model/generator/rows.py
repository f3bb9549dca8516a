"""The best of a product's grid of halves, with a close look at a few of its rows only.

A combination's log-odds are those of its halves and what the pair adds. What the pair adds does
not depend on the context, so it is worked out once a product; a request adds its halves' own
terms and takes each row's maximum. The k best combinations lie in the k rows with the highest
maxima (and rows that tie with them in steps of `grain`).
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

CELLS = 200_000  # combinations looked over at once
KEPT_CELLS = 16_000_000  # of all grids that are remembered together, 13 bytes each
SLACK = 1e-12  # of a reward: rounding in float64 moves it by less
COARSE = 1e-5  # and in float32
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

    def sums(self, click: Tensor) -> Tensor:
        """(B, n) sums of the elements' own terms (B, S, K)."""
        total = None
        for slot, index, shown in self.terms:
            term = click[:, slot].index_select(1, index)
            term = term if shown is None else term * shown
            total = term if total is None else total + term
        assert total is not None, "a half of a legal combination has an element in some slot"
        return total


@dataclass(eq=False)
class Grid:
    """A product's halves with what pairs of them add, for the factors that were seen last."""

    halves: Halves
    legal: Tensor | None  # (n, m) bool, None = every pair is listed
    own: tuple[Own, Own]
    _factor: Tensor | None = None
    _pairs: tuple[Tensor, Tensor] = field(default_factory=lambda: (torch.zeros(0), torch.zeros(0)))

    @staticmethod
    def of(space: Space) -> "Grid | None":
        """The product's grid, None where it is too short or too sparse for one."""
        halves = Halves.between(space)
        if halves is None:
            return None
        own = Own.of(halves.first), Own.of(halves.second)
        if halves.place is None:
            return Grid(halves, None, own)
        legal = torch.zeros(len(halves.first) * len(halves.second), dtype=torch.bool)
        legal[halves.place] = True
        return Grid(halves, legal.view(len(halves.first), len(halves.second)), own)

    @property
    def cells(self) -> int:
        return len(self.halves.first) * len(self.halves.second)

    def pairs(self, factor: Tensor) -> tuple[Tensor, Tensor]:
        """(n, m) float64 and float32: what each pair adds to the log-odds; factor (S, K, R)."""
        if self._factor is None or not torch.equal(self._factor, factor):
            (first, within), (second, beyond) = (
                _factors(factor, half) for half in (self.halves.first, self.halves.second)
            )
            added = first @ second.T + within[:, None] + beyond
            if self.legal is not None:
                added = added.masked_fill(~self.legal, -torch.inf)
            self._factor, self._pairs = factor.clone(), (added, added.float())
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
        grid = Grid.of(space)
        self._kept[space] = grid
        self._cells += _weight(grid)
        while self._cells > self._most and len(self._kept) > 1:
            self._cells -= _weight(self._kept.popitem(last=False)[1])
        return grid


def _weight(grid: Grid | None) -> int:
    return 1000 if grid is None else grid.cells + 1000


def fits(pieces: object) -> bool:
    """Whether the reward rises with the click's log-odds alone."""
    return isinstance(pieces, Pieces) and pieces.scale.target == "click" and pieces.scale.slope > 0


def best_of_grid(pieces: Pieces, grid: Grid, k: int, grain: float) -> Tensor:
    """(B, k, S) the k best combinations of one product in B contexts, ties to the earlier one."""
    exact, coarse = grid.pairs(mode(pieces.factor[0], 2))
    click = mode(pieces.unary[..., 0]).double()
    first, second = (own.sums(click) for own in grid.own)
    first = first + mode(pieces.base[..., 0]).double()[:, None]
    maxima = _maxima(coarse, second.float()) + first
    row = _promising(pieces, maxima, min(k, maxima.shape[1]), grain)
    cells = exact[row] + second[:, None] + first.gather(1, row)[:, :, None]
    place = _best_cells(pieces, cells.flatten(1), k, grain)
    width = cells.shape[2]
    left = grid.halves.first[row.gather(1, place // width)]
    return torch.maximum(left, grid.halves.second[place % width])


def _maxima(pairs: Tensor, second: Tensor) -> Tensor:
    """(B, n) the largest sum in each row of the grid, in float32."""
    step = max(CELLS // pairs.numel(), 1)
    parts = [(pairs + part[:, None]).amax(2) for part in second.split(step)]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _earned(pieces: Pieces, click: Tensor) -> Tensor:
    return finite(torch.sigmoid(pieces.scale.slope * click + pieces.scale.shift))


def _edge(reward: Tensor, grain: float, slack: float) -> Tensor:
    """What is below is in a later step of `grain` than `reward` is."""
    return (torch.round(reward / grain).clamp(max=MOST) - 0.5) * grain - slack


def _promising(pieces: Pieces, maxima: Tensor, k: int, grain: float) -> Tensor:
    """(B, r) the rows, in order, whose maximum may be among the k best up to a step of `grain`."""
    rows = _earned(pieces, maxima)
    edge = _edge(rows.topk(k).values[:, -1:], grain, COARSE)
    count = max(int((rows >= edge).sum(1).max()), k)
    return rows.topk(count).indices.sort(1).values


def _best_cells(pieces: Pieces, click: Tensor, k: int, grain: float) -> Tensor:
    """(B, k) places of the highest rewards, ties to the earlier; -inf, not legal, is none of them."""
    near = min(k + SPARE, click.shape[1])
    highest = click.topk(near)
    reward = _earned(pieces, highest.values)
    if near < click.shape[1] and bool(
        (reward[:, -1:] >= _edge(reward[:, k - 1 : k], grain, SLACK)).any()
    ):
        reward = _earned(pieces, click).masked_fill(click == -torch.inf, -torch.inf)
        return ranked(reward, grain, k)
    place, order = highest.indices.sort(1)
    reward = reward.masked_fill(highest.values == -torch.inf, -torch.inf).gather(1, order)
    return place.gather(1, ranked(reward, grain, k))
