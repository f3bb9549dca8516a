"""The best of a product's grid of halves, with a close look at a few of its rows only.

A combination's log-odds are those of its halves and what the pair adds. What the pair adds does
not depend on the context, so it is worked out once a product; a request adds its halves' own
terms and takes each row's maximum. The k best combinations lie in the k rows with the highest
maxima (and rows that tie with them in steps of `grain`).
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.combinations import Space
from model.generator.grid import Halves
from model.generator.ranking import MOST, finite, ranked
from model.reward.pieces import Pieces

CELLS = 400_000  # combinations looked over at once
KEPT_CELLS = 16_000_000  # of all grids that are remembered together, 9 bytes each
SLACK = 1e-9  # of a reward: rounding may move a row's maximum by less


@dataclass(eq=False)
class Grid:
    """A product's halves with what pairs of them add, for the factors that were seen last."""

    halves: Halves
    legal: Tensor | None  # (n, m) bool, None = every pair is listed
    _factor: Tensor | None = None
    _pairs: Tensor = field(default_factory=lambda: torch.zeros(0))

    @staticmethod
    def of(space: Space) -> "Grid | None":
        """The product's grid, None where it is too short or too sparse for one."""
        halves = Halves.between(space)
        if halves is None:
            return None
        if halves.place is None:
            return Grid(halves, None)
        legal = torch.zeros(len(halves.first) * len(halves.second), dtype=torch.bool)
        legal[halves.place] = True
        return Grid(halves, legal.view(len(halves.first), len(halves.second)))

    @property
    def cells(self) -> int:
        return len(self.halves.first) * len(self.halves.second)

    def pairs(self, factor: Tensor) -> Tensor:
        """(n, m) float64: what each pair adds to the log-odds, given factors (S, K, M, R)."""
        if self._factor is None or not torch.equal(self._factor, factor):
            (first, within), (second, beyond) = (
                _factors(factor, half) for half in (self.halves.first, self.halves.second)
            )
            added = (first @ second.T) / factor.shape[2] + within[:, None] + beyond
            if self.legal is not None:
                added = added.masked_fill(~self.legal, -torch.inf)
            self._factor, self._pairs = factor.clone(), added
        return self._pairs


def _factors(factor: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """(factor sums (n, M x R), interactions inside each half averaged over members (n,))."""
    slots, shown = torch.arange(half.shape[1]), half >= 0
    parts = (factor[slots, half.clamp(min=0)] * shown[..., None, None]).double()
    total = parts.sum(1)
    inner = 0.5 * (total.square() - parts.square().sum(1)).sum(2).mean(1)
    return total.flatten(1), inner


class Grids:
    """Grids by product, the ones asked for last; together they hold at most `most` cells."""

    def __init__(self, most: int = KEPT_CELLS):
        self._most, self._cells = most, 0
        self._kept: OrderedDict[Space, Grid | None] = OrderedDict()

    def of(self, space: Space) -> Grid | None:
        """The product's grid, made where it is not remembered."""
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
    """Whether the reward rises with the click's log-odds and factors are the product's own."""
    return (
        isinstance(pieces, Pieces)
        and pieces.scale.target == "click"
        and pieces.scale.slope > 0
        and torch.equal(pieces.factor, pieces.factor[:1].expand_as(pieces.factor))
    )


def best_of_grid(pieces: Pieces, grid: Grid, k: int, grain: float) -> Tensor:
    """(B, k, S) the k best combinations of one product in B contexts, ties to the earlier one."""
    pairs = grid.pairs(pieces.factor[0])
    base = pieces.base[:, :, 0].double().mean(1)[:, None]
    click = pieces.unary[..., 0].double().mean(3)
    first, second = (_own(click, half) for half in (grid.halves.first, grid.halves.second))
    found, step = [], max(CELLS // grid.cells, 1)
    for at in range(0, len(base), step):
        here = slice(at, at + step)
        own = (base[here] + first[here], second[here])
        found.append(_best(pieces, grid, pairs, own, k, grain))
    return torch.cat(found)


def _own(click: Tensor, half: Tensor) -> Tensor:
    """(B, n) sums of the elements' own terms (B, S, K) over each half."""
    total = torch.zeros((), dtype=click.dtype)
    for slot in range(half.shape[1]):
        shown = half[:, slot] >= 0
        if bool(shown.any()):
            total = total + click[:, slot].index_select(1, half[:, slot].clamp(min=0)) * shown
    return total.expand(len(click), len(half))


def _best(
    pieces: Pieces, grid: Grid, pairs: Tensor, own: tuple[Tensor, Tensor], k: int, grain: float
) -> Tensor:
    first, second = own
    within = pairs + second[:, None]
    rows = _earned(pieces, within.amax(2) + first)
    row = _promising(rows, min(k, rows.shape[1]), grain)
    wide = row[:, :, None].expand(-1, -1, within.shape[2])
    cells = _earned(pieces, within.gather(1, wide) + first.gather(1, row)[:, :, None])
    if grid.legal is not None:
        cells = cells.masked_fill(~grid.legal[row], -torch.inf)
    place = ranked(cells.flatten(1), grain, k)
    width = within.shape[2]
    left = grid.halves.first[row.gather(1, place // width)]
    return torch.maximum(left, grid.halves.second[place % width])


def _earned(pieces: Pieces, click: Tensor) -> Tensor:
    return finite(torch.sigmoid(pieces.scale.slope * click + pieces.scale.shift))


def _promising(rows: Tensor, k: int, grain: float) -> Tensor:
    """(B, r) the rows, in order, whose maximum may be among the k best up to a step of `grain`."""
    last = rows.topk(k).values[:, -1:]
    edge = (torch.round(last / grain).clamp(max=MOST) - 0.5) * grain - SLACK
    count = max(int((rows >= edge).sum(1).max()), k)
    return rows.topk(count).indices.sort(1).values
