"""The combinations of highest reward: exact where they can be listed, else a beam.

Both are deterministic: rewards are compared in steps of `grain`, equal ones in the order of
`Space.enumerate`, so that rounding noise can't change what is found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from model.combinations import Space
from model.generator.grid import SHORT
from model.generator.lattice import Lattice
from model.generator.ranking import finite, ranked
from model.generator.rows import Grids, best_of_grid, fits
from model.reward.members import mode
from model.reward.pieces import Pieces

ENUMERABLE = 1_000_000
REMEMBERED = 20_000  # combinations of a listing that is kept in memory
CHUNK = 400_000  # combinations scored at once


@dataclass(frozen=True, eq=False)
class Found:
    """The best combinations of each request, best first."""

    combinations: Tensor  # (B, k, S) int64 local indices, -1 = absent
    reward: Tensor  # (B, k) float64, -inf = padding


def listing_of(space: Space) -> Tensor:
    """(L, S) int64 all legal combinations in order; short lists are remembered."""
    return _remembered(space) if space.count() <= REMEMBERED else _listing(space)


def _listing(space: Space) -> Tensor:
    return torch.from_numpy(space.enumerate(ENUMERABLE).astype(np.int64))


_remembered = lru_cache(maxsize=256)(_listing)
_grids = Grids()


def exact_top(
    pieces: Pieces, spaces: Sequence[Space], product: np.ndarray, k: int, grain: float
) -> Found:
    """The k best of all legal combinations of each of B requests, product[b] in `spaces`.

    Raises ValueError for a product with more than a million.
    """
    combinations, known = exact_best(pieces, spaces, product, k, grain)
    return Found(combinations, score(pieces, combinations).masked_fill(~known, -torch.inf))


def exact_best(
    pieces: Pieces, spaces: Sequence[Space], product: np.ndarray, k: int, grain: float
) -> tuple[Tensor, Tensor]:
    """The combinations (B, k, S) of `exact_top`, and which of them are no padding (B, k)."""
    sizes = np.array([_listable(space) for space in spaces])
    best = torch.full((len(product), k, len(spaces[0].candidates)), -1, dtype=torch.int64)
    left = np.arange(len(product))
    if fits(pieces):
        left = _by_grids(pieces, spaces, product, best, grain)
    for run in _runs(product[left], sizes):
        rows = left[run]
        listings = {p: listing_of(spaces[p]) for p in set(product[rows].tolist())}
        listed = [listings[p] for p in product[rows].tolist()]
        found = _best_listed(pieces.take(torch.from_numpy(rows)), listed, k, grain)
        best[rows, : found.shape[1]] = found
    known = torch.from_numpy(np.minimum(sizes, k)[product])[:, None] > torch.arange(k)
    return best, known


def _by_grids(
    pieces: Pieces, spaces: Sequence[Space], product: np.ndarray, best: Tensor, grain: float
) -> np.ndarray:
    """Writes into `best` what rows of a product's grid tell; the requests of other products."""
    others = []
    for which in np.unique(product).tolist():
        rows, grid = np.flatnonzero(product == which), _grids.of(spaces[which])
        held = pieces if len(rows) == len(product) else pieces.take(torch.from_numpy(rows))
        if grid is None or not _is_one(mode(held.factor, 3)):
            others.append(rows)
            continue
        few = min(best.shape[1], spaces[which].count())
        best[rows, :few] = best_of_grid(held, grid, few, grain)
    return np.sort(np.concatenate(others)) if others else np.zeros(0, np.int64)


def _is_one(factor: Tensor) -> bool:
    """Whether the requests of a product agree in its candidates' factors."""
    return len(factor) == 1 or torch.equal(factor, factor[:1].expand_as(factor))


def _listable(space: Space) -> int:
    if space.count() > ENUMERABLE:
        space.enumerate(ENUMERABLE)  # raises, saying how many there are
    return space.count()


def _runs(product: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of requests whose padded lists hold at most CHUNK combinations (at least one request).

    A product with a long list gets runs of its own, so that the list is shared and not copied.
    """
    long = sizes[product] >= SHORT
    ends = np.flatnonzero((np.diff(product) != 0) & (long[1:] | long[:-1])) + 1
    for part in np.split(np.arange(len(product)), ends):
        first = 0
        while first < len(part):
            widest = np.maximum.accumulate(sizes[product[part[first:]]])
            fits = int((widest * np.arange(1, len(widest) + 1) <= CHUNK).sum())
            yield part[first : first + max(fits, 1)]
            first += max(fits, 1)


def _best_listed(pieces: Pieces, listed: list[Tensor], k: int, grain: float) -> Tensor:
    """(B, at most k, S) of lists of combinations."""
    combinations = _padded(listed)
    sizes = torch.tensor([len(rows) for rows in listed])
    beyond = torch.arange(combinations.shape[1]) >= sizes[:, None]
    reward = score(pieces, combinations).masked_fill(beyond, -torch.inf)
    order = ranked(reward, grain, k)
    return combinations.gather(1, order[:, :, None].expand(-1, -1, combinations.shape[2]))


def _padded(listed: list[Tensor]) -> Tensor:
    """(B, L, S); one list for all requests is not copied, a shorter one repeats its first row."""
    if all(rows is listed[0] for rows in listed):
        return listed[0].expand(len(listed), -1, -1)
    widest = max(len(rows) for rows in listed)
    return torch.stack(
        [torch.cat([rows, rows[:1].expand(widest - len(rows), -1)]) for rows in listed]
    )


def score(pieces: Pieces, combinations: Tensor) -> Tensor:
    """(B, G) float64 mean reward, computed CHUNK combinations at a time."""
    groups = max(CHUNK // max(len(combinations), 1), 1)
    parts = [pieces.mean(part).double() for part in combinations.split(groups, dim=1)]
    return finite(torch.cat(parts, dim=1))


def beam_top(pieces: Pieces, lattice: Lattice, product: np.ndarray, k: int, grain: float) -> Found:
    """The k best combinations that a beam over partial combinations finds.

    A prefix is scored with its later slots absent. Illegal combinations are never among them.
    """
    which = torch.from_numpy(product)
    node, chosen = lattice.start[which][:, None], torch.zeros(len(product), 1, 0, dtype=torch.int64)
    alive = torch.ones_like(node, dtype=torch.bool)
    reward = torch.zeros(node.shape, dtype=torch.float64)
    for slot in range(lattice.slots):
        after = lattice.after(node)
        grown = _grown(chosen, after.shape[2], lattice.slots)
        open_ends = ((after >= 0) & alive[:, :, None]).flatten(1)
        reward = score(pieces, grown).masked_fill(~open_ends, -torch.inf)
        kept = ranked(reward, grain, k)
        chosen = grown.gather(1, kept[:, :, None].expand(-1, -1, lattice.slots))[..., : slot + 1]
        node = after.flatten(1).gather(1, kept).clamp(min=0)
        reward = reward.gather(1, kept)
        alive = torch.isfinite(reward)
    return Found(chosen, reward)


def _grown(chosen: Tensor, options: int, slots: int) -> Tensor:
    """(B, W x options, S): every prefix with every option of its next slot, later slots absent."""
    requests, width, slot = chosen.shape
    grown = torch.full((requests, width, options, slots), -1, dtype=torch.int64)
    grown[..., :slot] = chosen[:, :, None]
    grown[..., slot] = torch.arange(options) - 1
    return grown.flatten(1, 2)
