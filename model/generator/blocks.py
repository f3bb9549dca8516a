"""The best of a product's grid of halves, with a close look at a block of it only.

A combination's log-odds are those of its halves and what the pair adds (grids.py). A row's best is
at most its own term, the most that any pair of the row adds and the best second half, and likewise
for a column. So the rows and columns of highest bounds are looked at; where some that are left can
reach the k best (branch and bound), every row's best is worked out, and the k rows whose bests are
highest hold them: what is found is exact either way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import TypeGuard

import torch
from torch import Tensor

from model.generator.grids import Grid, Pairs
from model.generator.ranking import MOST, finite, ranked
from model.reward.members import mode
from model.reward.pieces import Pieces, Scale

LOOKED = 500_000  # combinations looked at at once
NEAR = 131_072  # and so many, a megabyte, where what was written is read again at once
SIDE = 2  # rows and columns looked at first, for each combination that is asked for
SLACK = 1e-12  # of a reward: rounding in float64 moves it by less
SPARE = 16  # combinations looked at beyond those asked for, to find ties


def fits(pieces: object) -> TypeGuard[Pieces]:
    """Whether the reward rises with each of its heads."""
    if not isinstance(pieces, Pieces) or not pieces.scale.slope > 0:
        return False
    return pieces.scale.target != "value" or bool((pieces.scale.worth >= 0).all())


def best_of_grids(
    pieces: Pieces,
    grids: Sequence[Grid],
    product: Tensor,
    k: int,
    grain: float,
    drawn: bool = False,
) -> Tensor:
    """(B, k, S) the k best combinations in B contexts, ties to the earlier one.

    product (B,) says which of the grids, all of one shape; those of a product have one factor.
    drawn: pairs are strong, bounds say little, so that every row's best is worked out at once.
    """
    factor = mode(pieces.factor, 3)
    some = {which: at for at, which in enumerate(product.tolist())}  # a request of each product
    pairs = [grid.pairs(factor[some[which]]) for which, grid in enumerate(grids)]
    seen = View.of(pieces, grids[0], pairs, product)
    return _by_rows(seen, k, grain) if drawn else _by_bounds(seen, k, grain)


def _by_bounds(seen: "View", k: int, grain: float) -> Tensor:
    """(B, k, S) of blocks of highest bounds; where these don't settle it, by rows."""
    side, many = SIDE * k, len(seen.product)
    most = max(LOOKED // min(side**2, seen.cells), 1)
    if many > most:
        parts = torch.arange(many).split(most)
        return torch.cat([_by_bounds(seen.take(part), k, grain) for part in parts])
    best, sure = seen.looked(side, side, k, grain)
    if not bool(sure.all()):
        left = (~sure).nonzero()[:, 0]
        best[left] = _by_rows(seen.take(left), k, grain)
    return best


def _by_rows(seen: "View", k: int, grain: float) -> Tensor:
    """(B, k, S): they lie in the k rows whose bests are highest, or in more where there are ties."""
    order = seen.product.argsort(stable=True)  # requests of a product side by side
    best = torch.empty(len(order), k, seen.grid.shape.first.options.shape[1], dtype=torch.int64)
    best[order] = _of_best_rows(seen.take(order).exact(), k, k, grain)
    return best


def _of_best_rows(seen: "View", rows: int, k: int, grain: float) -> Tensor:
    """(B, k, S) where the bounds of rows are their bests."""
    wide = seen.grid.shape.size[1]
    many, most = len(seen.product), max(LOOKED // min(rows * wide, seen.cells), 1)
    if many > most:
        parts = torch.arange(many).split(most)
        return torch.cat([_of_best_rows(seen.take(part), rows, k, grain) for part in parts])
    best, sure = seen.looked(rows, wide, k, grain)
    if not bool(sure.all()):
        left = (~sure).nonzero()[:, 0]
        best[left] = _of_best_rows(seen.take(left), 2 * rows, k, grain)
    return best


@dataclass(frozen=True, eq=False)
class View:
    """B requests over grids of one shape.

    first (B, n) and second (B, m) of each head: the halves' own terms; by_row (B, n) and by_column
    (B, m): bounds of the score, which rises with the reward.
    """

    scale: Scale
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
        by_row, by_column = _score(pieces.scale, rows), _score(pieces.scale, columns)
        if isnan(float(by_row.amax())):
            finite(by_row)
        return View(pieces.scale, grid, pairs, product, first, second, by_row, by_column)

    @property
    def cells(self) -> int:
        one, two = self.grid.shape.size
        return one * two

    def take(self, rows: Tensor) -> "View":
        """Some of the requests."""
        first, second = (tuple(h[rows] for h in heads) for heads in (self.first, self.second))
        bounds = self.by_row[rows], self.by_column[rows]
        scale = replace(self.scale, worth=self.scale.worth[rows])
        return View(scale, self.grid, self.pairs, self.product[rows], first, second, *bounds)

    def exact(self) -> "View":
        """The same with the best of each row in the place of its bound; the requests of a product
        stand side by side."""
        which, many = self.product.unique_consecutive(return_counts=True)
        most, best, start = max(NEAR // self.cells, 1), [], 0
        for product, count in zip(which.tolist(), many.tolist(), strict=True):
            ends = range(start, start + count, most)
            rows = [slice(first, min(first + most, start + count)) for first in ends]
            best += [self._best_of_rows(part, self.pairs[product].added) for part in rows]
            start += count
        return replace(self, by_row=torch.cat(best))

    def _best_of_rows(self, part: slice, added: Tensor) -> Tensor:
        """(b, n) of some requests of one product, whose pairs add (n, m)."""
        one, two = ([head[part] for head in heads] for heads in (self.first, self.second))
        if len(one) == 1:
            return (added + two[0][:, None]).amax(2) + one[0]
        heads = [a[:, :, None] + b[:, None] for a, b in zip(one, two, strict=True)]
        heads[0] += added
        scale = replace(self.scale, worth=self.scale.worth[part])
        return _score(scale, heads).masked_fill_(added == -torch.inf, -torch.inf).amax(2)

    def looked(self, rows: int, columns: int, k: int, grain: float) -> tuple[Tensor, Tensor]:
        """(the best (B, k, S) of the block of so many rows and columns, (B,) bool: of all)."""
        shape, (_, wide) = self.grid.shape, self.grid.shape.size
        row, beyond = _highest(self.by_row, rows)
        column, above = _highest(self.by_column, columns)
        cell = torch.add(column[:, None], row[:, :, None], alpha=wide)
        score = self._block(row, column, cell).flatten(1)
        best, edge = _best_cells(score, cell.flatten(1), self._reward, k, grain)
        one = shape.first.options[torch.floor_divide(best, wide)]
        found = torch.maximum(one, shape.second.options[best % wide])
        if rows >= len(shape.first.options) and columns >= wide:
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
        score = _score(self.scale, heads)
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
        if len(self.first) > 1:
            return score
        reward = self.scale.reward([score])
        if self.grid.shape.illegal is None:
            return reward
        return reward.masked_fill_(score == -torch.inf, -torch.inf)


def _of(parts: Sequence[Tensor], product: Tensor) -> Tensor:
    """(B, n) each product's part (n,)."""
    return parts[0][None] if len(parts) == 1 else torch.stack(list(parts))[product]


def _score(scale: Scale, heads: list[Tensor]) -> Tensor:
    """What is compared: log-odds where there is one head, as the reward rises with them."""
    return heads[0] if len(heads) == 1 else scale.reward(heads)


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
