"""How evenly the generator's training ends: `python -m benchmarks.generator_restraint`.

Trains at the default sizes in planted worlds, each by several seeds, once as it is and once with the
weight of the divergence moved by 5 % after each step (adaptive PPO, the rule before ADR 33), on the
same logs and reward models. Prints the share of the way to the best reward that samples close, the
divergence at the end (units of log(combinations); 0.5 is asked for) and how many of the samples of
a context differ. Some 20 s a run of both on one core.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import t
from torch import Tensor

from benchmarks.generator_worlds import CONTEXT, Planted, learned
from model.combinations import Rules
from model.generator import objective
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator

SIZES = ((20, 5), (60, 4), (8, 8))  # products, candidates a slot


class Lagging:
    """A weight that is moved by 5 % a step, up where the divergence is above its target."""

    def __init__(self, config: GeneratorConfig):
        self.weight = config.kl_weight

    def __call__(self, kl: Tensor, config: GeneratorConfig) -> Tensor:
        now, found = self.weight, float(kl.detach())
        if found > 1.2 * config.kl_target:
            self.weight *= 1.05
        elif found < config.kl_target / 1.2:
            self.weight *= 0.95
        self.weight = min(max(self.weight, 0.3), 30.0)
        return torch.full_like(kl, 2 * now)  # the loss takes half of it times the divergence


def runs(worlds: int, seeds: int) -> Iterator[dict[str, np.ndarray]]:
    """Of each training (closed, divergence, distinct) by way."""
    config, own = GeneratorConfig(step="plain"), objective.held_by
    for number in range(worlds):
        world = Planted.of(*SIZES[number % len(SIZES)], 100 + number)
        bags = world.log(20_000, 200 + number)
        reward = learned(world, bags, 240)
        for seed in range(seeds):
            found = {}
            for way, rule in (("as it is", own), ("lagging", Lagging(config))):
                objective.held_by = rule
                _, told = fit_generator(
                    bags, world.elements, Rules(), reward, CONTEXT, config, seed=seed
                )
                objective.held_by = own
                names = ("reward_closed", "kl_share", "distinct")
                found[way] = np.array([told[name] for name in names])
            yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    every = list(runs(asked.worlds, asked.seeds))
    for way in every[0]:
        closed, kl, distinct = np.stack([found[way] for found in every]).T
        print(
            f"{way:9s} closes {closed.mean():.3f} (sd {closed.std(ddof=1):.3f}, lowest "
            f"{closed.min():.3f}), divergence {kl.mean():.2f} ({kl.min():.2f} to {kl.max():.2f}), "
            f"distinct {distinct.mean():.2f}, {len(every)} runs"
        )
    apart = np.array([found["as it is"][0] - found["lagging"][0] for found in every])
    half = t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
    print(
        f"closes more by {apart.mean():+.3f} ({apart.mean() - half:+.3f} to {apart.mean() + half:+.3f})"
    )


if __name__ == "__main__":
    main()
