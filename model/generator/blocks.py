"""The best of a product's grid of halves, with a close look at a block of it only.

A combination's log-odds are those of its halves and what the pair adds (grids.py). A row's best is
at most its own term, the most that any pair of the row adds and the best second half, and likewise
for a column. So the rows and columns of highest bounds are looked at, and more of them until none
that is left can reach the k best (branch and bound): what is found is exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import TypeGuard

import torch
from torch import Tensor

from model.generator.grids import Grid, Pairs
from model.generator.ranking import MOST, finite, ranked
from model.reward.members import mode
from model.reward.pieces import Pieces

LOOKED = 500_000  # combinations looked at at once
SIDE = 2  # rows and columns looked at first, for each combination that is asked for
SLACK = 1e-12  # of a reward: rounding in float64 moves it by less
SPARE = 16  # combinations looked at beyond those asked for, to find ties


def fits(pieces: object) -> TypeGuard[Pieces]:
    """Whether the reward rises with each of its heads."""
    if not isinstance(pieces, Pieces) or not pieces.scale.slope > 0:
        return False
    return pieces.scale.target != "value" or bool((pieces.scale.worth >= 0).all())


def best_of_grids(
    pieces: Pieces, grids: Sequence[Grid], product: Tensor, k: int, grain: float
) -> Tensor:
    """(B, k, S) the k best combinations in B contexts, ties to the earlier one.

    product (B,) says which of the grids, all of one shape; those of a product have one factor.
    """
    factor = mode(pieces.factor, 3)
    some = {which: at for at, which in enumerate(product.tolist())}  # a request of each product
    pairs = [grid.pairs(factor[some[which]]) for which, grid in enumerate(grids)]
    return _best(View.of(pieces, grids[0], pairs, product), SIDE * k, k, grain)


def _best(seen: "View", side: int, k: int, grain: float) -> Tensor:
    """(B, k, S) of the blocks of so many rows and columns, or of larger ones where need be."""
    many, most = len(seen.product), max(LOOKED // min(side**2, seen.cells), 1)
    if many > most:
        parts = torch.arange(many).split(most)
        return torch.cat([_best(seen.take(part), side, k, grain) for part in parts])
    best, sure = seen.looked(side, k, grain)
    if not bool(sure.all()):
        left = (~sure).nonzero()[:, 0]
        best[left] = _best(seen.take(left), 2 * side, k, grain)
    return best


@dataclass(frozen=True, eq=False)
class View:
    """B requests over grids of one shape.

    first (B, n) and second (B, m) of each head: the halves' own terms; by_row (B, n) and by_column
    (B, m): bounds of the score, which rises with the reward.
    """

    pieces: Pieces
    grid: Grid
    pairs: Sequence[Pairs]
    product: Tensor
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]
    by_row: Tensor
    by_column: Tensor

    @staticmethod
    def of(pieces: Pieces, grid: Grid, pairs: Sequence[Pairs], product: Tensor) -> "View":
        base, unary = mode(pieces.base, 1).double(), mode(pieces.unary, 3).double()
        heads, shape = range(pieces.heads), grid.shape
        first = tuple(shape.first.sums(unary[..., h]) + base[:, h, None] for h in heads)
        second = tuple(shape.second.sums(unary[..., h]) for h in heads)
        rows = [one + two.amax(1, keepdim=True) for one, two in zip(first, second, strict=True)]
        columns = [two + one.amax(1, keepdim=True) for one, two in zip(first, second, strict=True)]
        rows[0] += _of([own.by_row for own in pairs], product)
        columns[0] += _of([own.by_column for own in pairs], product)
        by_row, by_column = _score(pieces, rows), _score(pieces, columns)
        if isnan(float(by_row.amax())):
            finite(by_row)
        return View(pieces, grid, pairs, product, first, second, by_row, by_column)

    @property
    def cells(self) -> int:
        one, two = self.grid.shape.size
        return one * two

    def take(self, rows: Tensor) -> "View":
        """Some of the requests."""
        first, second = (tuple(h[rows] for h in heads) for heads in (self.first, self.second))
        bounds = self.by_row[rows], self.by_column[rows]
        held = self.pieces.take(rows)
        return View(held, self.grid, self.pairs, self.product[rows], first, second, *bounds)

    def looked(self, side: int, k: int, grain: float) -> tuple[Tensor, Tensor]:
        """(the best (B, k, S) of the block of so many rows and columns, (B,) bool: of all)."""
        shape, (rows, columns) = self.grid.shape, self.grid.shape.size
        (row, beyond), (column, above) = _highest(self.by_row, side), _highest(self.by_column, side)
        cell = torch.add(column[:, None], row[:, :, None], alpha=columns)
        score = self._block(row, column, cell).flatten(1)
        best, edge = _best_cells(score, cell.flatten(1), self._reward, k, grain)
        one = shape.first.options[torch.floor_divide(best, columns)]
        found = torch.maximum(one, shape.second.options[best % columns])
        if side >= max(rows, columns):
            return found, torch.ones(len(found), dtype=torch.bool)
        return found, self._reward(torch.maximum(beyond, above)) < edge

    def _block(self, row: Tensor, column: Tensor, cell: Tensor) -> Tensor:
        """(B, r, c) scores, -inf where not legal."""
        heads = [
            one.gather(1, row)[:, :, None] + two.gather(1, column)[:, None]
            for one, two in zip(self.first, self.second, strict=True)
        ]
        added = self._added(cell)
        heads[0] += added
        score = _score(self.pieces, heads)
        if len(heads) == 1 or self.grid.shape.illegal is None:
            return score
        return score.masked_fill_(added == -torch.inf, -torch.inf)

    def _added(self, cell: Tensor) -> Tensor:
        """(B, r, c) what the pairs add."""
        if len(self.pairs) == 1:
            return self.pairs[0].added.take(cell)
        found = torch.empty(cell.shape, dtype=torch.float64)
        for which in self.product.unique().tolist():
            here = (self.product == which).nonzero()[:, 0]
            found[here] = self.pairs[which].added.take(cell[here])
        return found

    def _reward(self, score: Tensor) -> Tensor:
        """(B, ...) rewards of scores (B, ...), -inf where that is the score of what is not legal."""
        if self.pieces.heads > 1:
            return score
        reward = self.pieces.scale.reward([score])
        if self.grid.shape.illegal is None:
            return reward
        return reward.masked_fill_(score == -torch.inf, -torch.inf)


def _of(parts: Sequence[Tensor], product: Tensor) -> Tensor:
    """(B, n) each product's part (n,)."""
    return parts[0][None] if len(parts) == 1 else torch.stack(list(parts))[product]


def _score(pieces: Pieces, heads: list[Tensor]) -> Tensor:
    """What is compared: log-odds where there is one head, as the reward rises with them."""
    return heads[0] if len(heads) == 1 else pieces.scale.reward(heads)


def _highest(bound: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """(the places of highest bound (B, r); the bound of all others (B,), -inf = none)."""
    if side >= bound.shape[1]:
        every = torch.arange(bound.shape[1]).expand(len(bound), -1)
        return every, torch.full((len(bound),), -torch.inf, dtype=bound.dtype)
    highest = bound.topk(side + 1)
    return highest.indices[:, :side], highest.values[:, side]


def _edge(reward: Tensor, grain: float) -> Tensor:
    """What is below is in a later step of `grain` than `reward` is."""
    return (reward / grain).round_().clamp_(max=MOST).sub_(0.5).mul_(grain).sub_(SLACK)


def _best_cells(
    score: Tensor, cell: Tensor, reward_of: Callable[[Tensor], Tensor], k: int, grain: float
) -> tuple[Tensor, Tensor]:
    """(the k cells (B, k) of highest reward among these, ties to the earlier cell; the edge of the
    least reward's step (B,))."""
    highest = score.topk(min(k + SPARE, score.shape[1]))
    reward, own = reward_of(highest.values), highest.indices
    edge = _edge(reward[:, k - 1], grain)
    whole = reward.shape[1] == score.shape[1]
    if not whole and bool((reward[:, -1] >= edge).any()):
        reward = reward_of(score)
    else:
        cell = cell.gather(1, own)
    return cell.gather(1, ranked(reward, grain, k, cell)), edge
