"""What beginning at the champion's weights saves: excess log loss by steps, cold and warm.

Run: python -m benchmarks.reward.warm
The champion learned from an earlier log of the same shop; both then learn from a later one and are
judged on fresh displays against the true click probabilities.
"""

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.reward.shop import KINDS, make_world
from model.bags import Bags
from model.elements import Elements
from model.reward.config import RewardConfig
from model.reward.fit import Reward, fit_reward

STEPS = (15, 30, 60, 120, 240)
JUDGED = 40_000
PRODUCTS = 40


def main() -> None:
    """Prints a row for each number of steps."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--displays", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    print("| shop | steps | excess loss cold | warm |\n|---|---|---|---|")
    for seed in range(asked.seeds):
        world = make_world(seed, PRODUCTS)
        before, after = (world.log(asked.displays, seed=n) for n in (1, 2))
        judged, true = world.fresh(JUDGED, 3)
        champion = _learned(before, world.elements, RewardConfig(), None)
        print(f"| {seed} | champion | {_excess(champion, judged, true, world.elements):.1f} | |")
        for steps in STEPS:
            config = replace(RewardConfig(), steps=steps)
            found = [
                _excess(
                    _learned(after, world.elements, config, start), judged, true, world.elements
                )
                for start in (None, champion)
            ]
            print(f"| {seed} | {steps} | {found[0]:.1f} | {found[1]:.1f} |", flush=True)


def _learned(bags: Bags, elements: Elements, config: RewardConfig, start: Reward | None) -> Reward:
    tuned = np.arange(len(bags)) % 10 == 0
    train, tuning = (bags.take(np.flatnonzero(part)) for part in (~tuned, tuned))
    return fit_reward(train, tuning, elements, KINDS, config, seed=1, start=start)


def _excess(reward: Reward, bags: Bags, true: np.ndarray, elements: Elements) -> float:
    """Log loss a display above the truth's, times 100,000."""
    p = reward.predict(bags, elements).click
    gap = true * np.log(true / p) + (1 - true) * np.log((1 - true) / (1 - p))
    return float(1e5 * gap.mean())


if __name__ == "__main__":
    main()
