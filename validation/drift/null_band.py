"""How far apart two samples of the same users' behaviour lie by chance: whole users change sides.

A user's rows go together, so that a heavy user does not look like many who agree. Users seen on
one side only change sides as wholes; a user of both sides swaps the two. Each user counts on the
earlier side with the rows of one day only, so that what changes sides is alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Effect = Callable[[Floats, Floats], Floats]
GROUPS = 4_000  # users beyond this many of a kind change sides in groups, whole users still


@dataclass(frozen=True)
class Sides:
    """Rows counted by group of users and bin, (groups, bins): today's and the earlier ones."""

    today: Floats
    earlier: Floats


@dataclass(frozen=True)
class Flips:
    """Which groups change sides in each draw, for the groups that `group` assigns users to."""

    group: NDArray[np.int64]
    exchanged: Floats


def flips(
    seen_today: NDArray[np.bool_],
    seen_earlier: NDArray[np.bool_],
    draws: int,
    rng: np.random.Generator,
) -> Flips:
    """Draws of sides for users; seen_*: (users,). Entry 1: the group's two sides are exchanged."""
    kind = np.where(seen_today & seen_earlier, 0, np.where(seen_today, 1, 2))
    group = np.zeros(len(kind), dtype=np.int64)
    offset, kinds = 0, []
    for one in range(3):
        users = np.flatnonzero(kind == one)
        size = min(len(users), GROUPS)
        if size:
            group[rng.permutation(users)] = offset + np.arange(len(users)) % size
        kinds += [one] * size
        offset += size
    exchanged = _exchanged(np.array(kinds, dtype=np.int64), draws, rng)
    return Flips(group, exchanged)


def _exchanged(kinds: NDArray[np.int64], draws: int, rng: np.random.Generator) -> Floats:
    """(groups, draws): pairs swap by a coin; of the lone ones, as many stand today as before."""
    swapped = np.zeros((len(kinds), draws))
    both = kinds == 0
    swapped[both] = rng.integers(0, 2, (int(both.sum()), draws))
    lone = np.flatnonzero(~both)
    today = kinds[lone] == 1
    for draw in range(draws):
        swapped[lone, draw] = rng.permutation(today) != today
    return swapped


def null_effects(sides: Sides, chosen: Flips, effect: Effect) -> Floats:
    """(draws,) effects had users changed sides by chance; sides: counts of the flips' groups."""
    moved = (sides.earlier - sides.today).T @ chosen.exchanged
    today = sides.today.sum(axis=0)[:, None] + moved
    earlier = sides.earlier.sum(axis=0)[:, None] - moved
    return effect(today.T, earlier.T)
