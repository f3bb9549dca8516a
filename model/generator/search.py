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
from model.generator.grid import SHORT, Halves, grid_rewards
from model.generator.lattice import Lattice
from model.reward.pieces import Pieces

ENUMERABLE = 1_000_000
REMEMBERED = 20_000  # combinations of a listing that is kept in memory
CHUNK = 400_000  # combinations scored at once
_MOST = 2.0**42  # rewards are cut at so many grains, to leave 20 bits for the tie-break


@dataclass(frozen=True, eq=False)
class Found:
    """The best combinations of each request, best first."""

    combinations: Tensor  # (B, k, S) int64 local indices, -1 = absent
    reward: Tensor  # (B, k) float64, -inf = padding


@dataclass(frozen=True, eq=False)
class Listing:
    """All legal combinations (L, S) of a product in order, int64, and their halves if it pays."""

    combinations: Tensor
    halves: Halves | None


def listing_of(space: Space) -> Listing:
    """The product's listing; short ones are remembered for the next request."""
    return _remembered(space) if space.count() <= REMEMBERED else _listing(space)


def _listing(space: Space) -> Listing:
    combinations = torch.from_numpy(space.enumerate(ENUMERABLE).astype(np.int64))
    return Listing(combinations, Halves.of(combinations))


_remembered = lru_cache(maxsize=256)(_listing)


def exact_top(
    pieces: Pieces, spaces: Sequence[Space], product: np.ndarray, k: int, grain: float
) -> Found:
    """The k best of all legal combinations of each of B requests, product[b] in `spaces`.

    Raises ValueError for a product with more than a million.
    """
    listings = [listing_of(space) for space in spaces]
    best = Found(
        torch.full((len(product), k, listings[0].combinations.shape[1]), -1, dtype=torch.int64),
        torch.full((len(product), k), -torch.inf, dtype=torch.float64),
    )
    for rows in _runs(product, np.array([len(one.combinations) for one in listings])):
        held, first = pieces.take(torch.from_numpy(rows)), listings[product[rows[0]]]
        alike = (product[rows] == product[rows[0]]).all()
        if alike and first.halves is not None and isinstance(pieces, Pieces):
            part = _best_paired(held, first.combinations, first.halves, k, grain)
        else:
            listed = [listings[p].combinations for p in product[rows]]
            part = _best_listed(held, listed, k, grain)
        best.combinations[rows, : part.reward.shape[1]] = part.combinations
        best.reward[rows, : part.reward.shape[1]] = part.reward
    return best


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


def _best_listed(pieces: Pieces, listed: list[Tensor], k: int, grain: float) -> Found:
    combinations = _padded(listed)
    sizes = torch.tensor([len(rows) for rows in listed])
    beyond = torch.arange(combinations.shape[1]) >= sizes[:, None]
    reward = score(pieces, combinations).masked_fill(beyond, -torch.inf)
    order = ranked(reward, grain, k)
    wide = order[:, :, None].expand(-1, -1, combinations.shape[2])
    return Found(combinations.gather(1, wide), reward.gather(1, order))


def _best_paired(pieces: Pieces, listed: Tensor, halves: Halves, k: int, grain: float) -> Found:
    """The k best of one product's list: ranked by halves, then scored like any other."""
    rewards = finite(grid_rewards(pieces, halves))
    combinations = listed[ranked(rewards, grain, k)]
    return Found(combinations, score(pieces, combinations))


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
    parts = [pieces.score(part)[0].double() for part in combinations.split(groups, dim=1)]
    return finite(torch.cat(parts, dim=1))


def finite(reward: Tensor) -> Tensor:
    """The rewards, all finite; ValueError where one is not."""
    if not bool(torch.isfinite(reward).all()):
        raise ValueError(
            f"the reward model gave {int((~torch.isfinite(reward)).sum())} of {reward.numel()} "
            "combinations a reward that is no finite number; expected finite rewards; look at its "
            "training metrics and at the elements' embeddings and history"
        )
    return reward


def ranked(reward: Tensor, grain: float, k: int) -> Tensor:
    """(B, min(k, L)) positions of the highest rewards, ties to the earlier position."""
    places = reward.shape[1]
    steps = torch.round(reward.clamp(min=-_MOST * grain) / grain).clamp(-_MOST, _MOST)
    keys = steps.long() * 2**20 + (2**20 - 1 - torch.arange(places))
    return keys.topk(min(k, places), dim=1).indices


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
