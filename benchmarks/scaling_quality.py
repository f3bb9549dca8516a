"""Whether several processes learn as well as one: models of the same logs, judged on held-out rows."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.generator_worlds import CONTEXT, Planted
from model.bags import Bags
from model.combinations import Rules
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.processes import Processes
from model.reward.fit import Reward, RewardConfig, fit_reward

SEEDS = (0, 1, 2)


def taught(world: Planted, bags: Bags, seed: int, device: str, processes: Processes) -> Reward:
    """The reward model of seven eighths of the log; the last eighth tunes."""
    late = np.arange(len(bags)) >= len(bags) * 7 // 8
    train, valid = (bags.take(np.flatnonzero(part)) for part in (~late, late))
    config = RewardConfig(dispersion=1.0)
    return fit_reward(
        train, valid, world.elements, CONTEXT, config, seed=seed, device=device, processes=processes
    )


def nats(reward: Reward, bags: Bags, world: Planted) -> np.ndarray:
    """(n,) minus log likelihood of each held-out display."""
    chance = np.clip(reward.predict(bags, world.elements).click, 1e-9, 1 - 1e-9)
    return -np.where(bags.clicks > 0, np.log(chance), np.log1p(-chance))


def learned(
    device: str, processes: Processes, displays: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """(held-out nats (seeds, n), what the generator closes of the way to the best (seeds,))."""
    missed, closed = [], []
    for seed in SEEDS:
        world = Planted.of(20, 5, 7)
        bags, held = world.log(displays, 8), world.log(displays // 2, 9)
        reward = taught(world, bags, seed, device, processes)
        missed.append(nats(reward, held, world))
        config = GeneratorConfig(steps=steps, probe=128)
        _, metrics = fit_generator(
            bags, world.elements, Rules(), reward, CONTEXT, config, seed=seed, device=device,
            processes=processes,
        )  # fmt: skip
        closed.append(metrics["reward_closed"])
    return np.stack(missed), np.array(closed)


def compared(
    joined: tuple[np.ndarray, np.ndarray], alone: tuple[np.ndarray, np.ndarray]
) -> list[str]:
    """Sentences: held-out figures of all together and of one, and their paired difference."""
    apart = (joined[0] - alone[0]).mean(0)
    draws = np.random.default_rng(0).integers(len(apart), size=(500, len(apart)))
    low, high = np.quantile(apart[draws].mean(1), (0.025, 0.975))
    spread = alone[1].std(ddof=1)
    return [
        f"held-out nats a display {joined[0].mean():.6f}, of one process {alone[0].mean():.6f}; "
        f"difference {apart.mean():+.1e}, 95 % of {low:+.1e} to {high:+.1e}",
        f"closed of the way to the best reward {joined[1].mean():.4f}, of one process "
        f"{alone[1].mean():.4f}; largest difference of a seed "
        f"{np.abs(joined[1] - alone[1]).max():.4f}, between seeds {spread:.4f}",
    ]


def broken(device: str, processes: Processes, checkpoint: Path, dies_at: int) -> dict[str, Tensor]:
    """Weights of a generator whose last process is killed once, after step `dies_at`.

    Started again it goes on from the checkpoint; `checkpoint`.died says that it died.
    """
    world = Planted.of(20, 5, 7)
    bags = world.log(20_000, 8)
    reward = taught(world, bags, 0, device, processes)
    died = checkpoint.with_suffix(".died")

    def watch(done: int, total: int) -> None:
        last = processes.rank == processes.count - 1
        if done == dies_at and last and dies_at and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    config = replace(GeneratorConfig(), steps=60, clone_steps=20, checkpoint_every=10, probe=32)
    generator, metrics = fit_generator(
        bags, world.elements, Rules(), reward, CONTEXT, config, seed=0, device=device,
        checkpoint=checkpoint, processes=processes, progress=watch,
    )  # fmt: skip
    return {**generator.state()[0], "resumed_at": torch.tensor(metrics["resumed_at"])}
