"""Training on a GPU by the plain and by the fused step: milliseconds a step, and what each learned.

`python3 -m benchmarks.generator_training`. Also: a fused training killed half-way ends with the
same bits. Runs on a CPU too (`--device cpu --batch 64`), where nothing is compiled.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from benchmarks.generator_worlds import CONTEXT, Planted, learned
from model.bags import Bags
from model.combinations import Rules
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.reward.reward import Reward

PRODUCTS, CANDIDATES, DISPLAYS = 128, 16, 20_000
FIGURES = ("sampled_reward", "kl_share", "entropy_share", "supported_share", "reward_closed")


@dataclass
class Clock:
    """When each step was told of; stops the run at a step where asked for."""

    device: str
    stop: int = -1
    at: list[float] = field(default_factory=list)

    def __call__(self, done: int, total: int) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()
        self.at.append(time.perf_counter())
        if done == self.stop:
            raise KeyboardInterrupt

    def late(self, steps: int) -> float:
        """Milliseconds a step of the last ones."""
        return 1000 * (self.at[-1] - self.at[-1 - steps]) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=80)
    asked = parser.parse_args()
    world = Planted.of(PRODUCTS, CANDIDATES, seed=4)
    bags = world.log(DISPLAYS, seed=5)
    reward = learned(world, bags, steps=20)
    config = GeneratorConfig(
        width=128,
        layers=2,
        clone_steps=20,
        steps=asked.steps,
        batch=asked.batch,
        pool=2 * asked.batch,
        step_candidates=asked.batch * 4 * CANDIDATES,
        pool_candidates=10**9,
        probe=64,
        learning_rate=2e-3,
        checkpoint_every=10,
    )
    print(f"{asked.batch} requests a step, 4 slots x {CANDIDATES}, {PRODUCTS} products, width 128")
    print(f"| step | ms a step | contexts a second | {' | '.join(FIGURES)} |")
    print("|---|---|---|---|---|---|---|---|")
    given = (world, bags, reward, asked.device)
    for step in ("plain", "fused"):
        print(line(step, replace(config, step=step), *given), flush=True)
    print(f"killed and gone on, the same bits: {resumed(replace(config, step='fused'), *given)}")


def line(
    name: str, config: GeneratorConfig, world: Planted, bags: Bags, reward: Reward, device: str
) -> str:
    """One way to train."""
    clock = Clock(device)
    given = (bags, world.elements, Rules(), reward, CONTEXT, config)
    _, told = fit_generator(*given, seed=0, device=device, progress=clock)
    each = clock.late(config.steps // 2)
    figures = " | ".join(f"{told[figure]:.4f}" for figure in FIGURES)
    return f"| {name} | {each:.2f} | {1000 * config.batch / each:,.0f} | {figures} |"


def resumed(
    config: GeneratorConfig, world: Planted, bags: Bags, reward: Reward, device: str
) -> bool:
    """Whether a run that was killed behind a checkpoint ends as one that was not."""
    given = (bags, world.elements, Rules(), reward, CONTEXT, config)
    whole, _ = fit_generator(*given, seed=0, device=device)
    with tempfile.TemporaryDirectory() as folder:
        file, stop = Path(folder) / "checkpoint", config.clone_steps + config.steps // 2 + 3
        try:
            stopping = Clock(device, stop)
            fit_generator(*given, seed=0, device=device, checkpoint=file, progress=stopping)
        except KeyboardInterrupt:
            pass
        again, told = fit_generator(*given, seed=0, device=device, checkpoint=file)
        assert 0 < told["resumed_at"] < stop
    held = again.network.state_dict()
    return all(torch.equal(part, held[name]) for name, part in whole.network.state_dict().items())


if __name__ == "__main__":
    main()
