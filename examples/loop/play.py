"""Days of the loop: every policy on the same requests, learning from its own displays only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from examples.loop.world import Requests, Shown, World


class Player(Protocol):
    """Shows combinations and learns from what came of them."""

    name: str

    def learn(self, shown: Shown) -> None: ...

    def choose(
        self, requests: Requests, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, eq=False)
class Track:
    """One policy over the days: mean true chance of a click of what it showed (days,)."""

    name: str
    value: np.ndarray
    seconds: float


@dataclass(frozen=True, eq=False)
class Match:
    """One shop's days: tracks, and the same requests' logging and best possible value (days,)."""

    seed: int
    displays: int
    tracks: tuple[Track, ...]
    logging: np.ndarray
    best: np.ndarray


def first_day(world: World, displays: int) -> Shown:
    """Day 0, shown by the logging policy: what every policy starts from."""
    return world.show(*logged(world, 0, displays))


def logged(world: World, day: int, displays: int) -> tuple[Requests, np.ndarray, np.ndarray]:
    """(requests, places, propensities) of the logging policy on a day."""
    requests = world.requests(day, displays)
    aim = np.random.default_rng([world.seed, 7, day]).random(displays)
    place, propensity = np.zeros(displays, np.int64), np.zeros(displays)
    for p in np.unique(requests.product):
        rows, chance = np.flatnonzero(requests.product == p), world.shop.logging.probability[p]
        reach = np.cumsum(chance)
        found = np.searchsorted(reach / reach[-1], aim[rows], side="right")
        place[rows] = np.minimum(found, len(chance) - 1)
        propensity[rows] = chance[place[rows]]
    return requests, place, propensity


def play(
    world: World,
    players: list[Player],
    days: int,
    displays: int,
    clock: Callable[[], float],
    told: Callable[[str], None] = lambda line: None,
) -> Match:
    """What each policy earned on each of the days after the first."""
    start, tracks = first_day(world, displays), []
    shown = [world.show(*logged(world, day, displays)) for day in range(1, days + 1)]
    logging, best = (np.array([getattr(s, k).mean() for s in shown]) for k in ("value", "best"))
    for number, player in enumerate(players):
        rng, began = np.random.default_rng([world.seed, 8, number]), clock()
        player.learn(start)
        value = np.zeros(days)
        for day in range(days):
            requests = shown[day].requests
            today = world.show(requests, *player.choose(requests, rng))
            value[day] = today.value.mean()
            if day + 1 < days:
                player.learn(today)
        tracks.append(Track(player.name, value, clock() - began))
        closed = (value[-1] - logging[-1]) / (best[-1] - logging[-1])
        told(f"shop {world.seed}: {player.name}: last day closes {closed:.3f}")
    return Match(world.seed, displays, tuple(tracks), logging, best)
