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
from model.generator.blocks import best_of_grids, fits
from model.generator.grid import SHORT
from model.generator.grids import Grids
from model.generator.lattice import Lattice
from model.generator.ranking import finite, ranked
from model.reward.members import mode
from model.reward.pieces import Pieces
from model.reward.scoring import Scores

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
    pieces: Scores, spaces: Sequence[Space], product: np.ndarray, k: int, grain: float
) -> Found:
    """The k best of all legal combinations of each of B requests, product[b] in `spaces`.

    Raises ValueError for a product with more than a million.
    """
    combinations, known = exact_best(pieces, spaces, product, k, grain)
    return Found(combinations, score(pieces, combinations).masked_fill(~known, -torch.inf))


def exact_best(
    pieces: Scores,
    spaces: Sequence[Space],
    product: np.ndarray,
    k: int,
    grain: float,
    rewards: int = 1,
) -> tuple[Tensor, Tensor]:
    """The combinations (B, k, S) of `exact_top`, and which of them are no padding (B, k).

    rewards: of how many the B requests ask, one after the other; each one's grids are kept apart.
    """
    alone = _best_alone(pieces, spaces[int(product[0])], k, grain) if len(product) == 1 else None
    if alone is not None:
        return alone, torch.ones(1, k, dtype=torch.bool)
    sizes = np.tile([_listable(space) for space in spaces], rewards)
    asked = np.arange(len(product)) * rewards // max(len(product), 1)
    product, spaces = product + len(spaces) * asked, [*spaces] * rewards
    best = torch.full((len(product), k, len(spaces[0].candidates)), -1, dtype=torch.int64)
    left = np.arange(len(product))
    if fits(pieces):
        names = [1 + like for like in pieces.like or range(rewards)] if rewards > 1 else [0]
        names = np.repeat(names, len(spaces) // rewards).tolist()
        left = _by_grids(pieces, spaces, product, best, grain, names)
    for run in _runs(product[left], sizes):
        rows = left[run]
        listings = {p: listing_of(spaces[p]) for p in set(product[rows].tolist())}
        listed = [listings[p] for p in product[rows].tolist()]
        found = _best_listed(pieces.take(torch.from_numpy(rows)), listed, k, grain)
        best[rows, : found.shape[1]] = found
    known = torch.from_numpy(np.minimum(sizes, k)[product])[:, None] > torch.arange(k)
    return best, known


def _best_alone(pieces: Scores, space: Space, k: int, grain: float) -> Tensor | None:
    """(1, k, S) of a single request whose product has a grid and at least k combinations."""
    if _listable(space) < k or not fits(pieces):
        return None
    grid = _grids.of(space)
    if grid is None:
        return None
    return best_of_grids(pieces, [grid], torch.zeros(1, dtype=torch.int64), k, grain)


def _by_grids(
    pieces: Pieces,
    spaces: Sequence[Space],
    product: np.ndarray,
    best: Tensor,
    grain: float,
    reward: Sequence[int],
) -> np.ndarray:
    """Writes into `best` what the products' grids tell; the requests of other products.

    reward: by product, which one asks (see `Grids.of`); 0 = the mean one, the others are drawn.
    """
    used, first, which = np.unique(product, return_index=True, return_inverse=True)
    grids = [_grids.of(spaces[at], reward[at]) for at in used.tolist()]
    alike = _alike(mode(pieces.factor, 3), first, which)
    shapes = [
        id(grid.shape) if grid and same else 0 for grid, same in zip(grids, alike, strict=True)
    ]
    shape = np.array(shapes)[which]
    for one in set(shapes) - {0}:
        rows = np.flatnonzero(shape == one)
        whole = len(rows) == len(product)
        held = pieces if whole else pieces.take(torch.from_numpy(rows))
        own, place = np.unique(which[rows], return_inverse=True)
        some = [grid for grid in (grids[at] for at in own.tolist()) if grid is not None]
        few = min(best.shape[1], spaces[int(used[own[0]])].count())
        asked = some, torch.from_numpy(place), few, grain, max(reward) > 0
        best[rows, :few] = best_of_grids(held, *asked)
    return np.flatnonzero(shape == 0)


def _alike(factor: Tensor, first: np.ndarray, which: np.ndarray) -> list[bool]:
    """Of each product: whether its requests (B,) agree in its candidates' factors (B, S, K, R)."""
    if len(first) == len(which):
        return [True] * len(first)
    same = (factor == factor[torch.from_numpy(first[which])]).flatten(1).all(1).numpy()
    return (np.bincount(which, ~same, len(first)) == 0).tolist()


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


def _best_listed(pieces: Scores, listed: list[Tensor], k: int, grain: float) -> Tensor:
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


def score(pieces: Scores, combinations: Tensor) -> Tensor:
    """(B, G) float64 mean reward, computed CHUNK combinations at a time."""
    requests, many = combinations.shape[:2]
    groups = max(CHUNK // max(requests, 1), 1)
    if many <= groups:
        return finite(pieces.mean(combinations).double())
    parts = [pieces.mean(part).double() for part in combinations.split(groups, dim=1)]
    return finite(torch.cat(parts, dim=1))


def beam_top(pieces: Scores, lattice: Lattice, product: np.ndarray, k: int, grain: float) -> Found:
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
