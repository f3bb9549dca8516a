"""What GenCO's day loses to exploring, to its temperature and to its generator, each left out.

The same shops and requests as `benchmarks.loop`, other recipes; paired over shops.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from examples.loop.play import Match, play
from examples.loop.published import RECIPE, Published, Recipe
from examples.loop.told import closed, interval, lost, tracks_of
from examples.loop.world import World

AS_PUBLISHED = "as published"
RECIPES = {
    AS_PUBLISHED: RECIPE,
    "no drawn rewards": replace(RECIPE, sampled=0.0, temperature=0.05),  # until 2026-11-28
    "drawn rewards only": replace(RECIPE, sampled=1 - RECIPE.explore - RECIPE.uniform),
    "drawn twice as far": replace(RECIPE, deviation=2 * RECIPE.deviation),
    "drawn half as far": replace(RECIPE, deviation=RECIPE.deviation / 2),
    "no generator": replace(RECIPE, generator=None),
    "twice the steps": replace(RECIPE, reward=replace(RECIPE.reward, steps=320)),
    "arg-max": replace(
        RECIPE, generator=None, explore=0.0, uniform=0.0, sampled=0.0, temperature=1e-6
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--products", type=int, default=10)
    parser.add_argument("--displays", type=int, default=40_000, help="a day")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    asked = parser.parse_args()
    recipes = {name: RECIPES[name] for name in asked.only}
    matches = [
        matched(World.create(seed, asked.products), recipes, asked.days, asked.displays)
        for seed in range(asked.seed, asked.seed + asked.seeds)
    ]
    print(table(matches))


def matched(world: World, recipes: dict[str, Recipe], days: int, displays: int) -> Match:
    """One shop's days under every recipe."""
    players = [Published(name, world, recipe, world.seed) for name, recipe in recipes.items()]
    return play(world, players, days, displays, perf_counter, lambda line: print(line, flush=True))


def table(matches: Sequence[Match]) -> str:
    """Regret, and share closed on the last day and on the last five, with 95 % intervals."""
    lines = ["| recipe | clicks lost | closed, last day | closed, last five |", "|---|---|---|---|"]
    for track in matches[0].tracks:
        own = tracks_of(matches, track.name)
        last = interval([float(closed(m, t)[-1]) for m, t in own])
        five = interval([float(np.mean(closed(m, t)[-5:])) for m, t in own])
        regret = interval([float(lost(m, t)[-1]) for m, t in own])
        cells = ["{:.1f} ({:.1f} to {:.1f})".format(*regret)]
        cells += ["{:.3f} ({:.3f} to {:.3f})".format(*share) for share in (last, five)]
        lines.append(f"| {track.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
