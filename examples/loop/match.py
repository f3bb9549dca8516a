"""The policies that meet in the loop, and the matches of several shops."""

from collections.abc import Callable
from dataclasses import replace

from examples.loop.linear import ElementThompson, LinUCB
from examples.loop.pairs import MVT
from examples.loop.play import Match, Player, play
from examples.loop.published import RECIPE, Published
from examples.loop.rates import CombinationThompson, ElementRates, Uniform
from examples.loop.told import OURS
from examples.loop.world import World

ARGMAX = "arg-max of the reward"


def players_of(world: World) -> list[Player]:
    """Every policy, at its start."""
    greedy = replace(
        RECIPE, generator=None, explore=0.0, uniform=0.0, sampled=0.0, temperature=1e-6
    )
    return [
        Published(OURS, world, RECIPE, world.seed),
        Published(ARGMAX, world, greedy, world.seed),
        MVT(world),
        ElementThompson(world),
        LinUCB(world),
        ElementRates(world),
        CombinationThompson(world),
        Uniform(world),
    ]


def matches_of(
    seeds: range,
    products: int,
    days: int,
    displays: int,
    clock: Callable[[], float],
    told: Callable[[str], None] = lambda line: None,
) -> list[Match]:
    """A match in the shop of every seed; `displays` a day."""
    worlds = (World.create(seed, products) for seed in seeds)
    return [play(w, players_of(w), days, displays, clock, told) for w in worlds]
