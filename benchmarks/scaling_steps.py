"""What one of the processes of benchmarks/scaling.py measures: the generator's step, the reward's.

Each is timed twice on the same rows, with the others and alone: what is lost is communication.
"""

import copy
import gc
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from benchmarks.generator_gpu import CAUTION, SLOTS, networks, world_of
from benchmarks.generator_worlds import CONTEXT, Planted
from model.bags import Bags
from model.generator.config import GeneratorConfig
from model.generator.fused.policy import Paths, Requests
from model.generator.fused.step import How, Step
from model.processes import ALONE, Processes
from model.reward.fit import RewardConfig, fit_reward

REPEATS = 5


@dataclass(frozen=True)
class Timed:
    """One line of the table; times of one step, median of REPEATS runs of several steps."""

    what: str
    scaling: str  # weak: the same rows a process; strong: the same rows in all
    processes: int
    rows: int  # of one process
    joined_ms: float
    alone_ms: float  # the same rows without the others
    one_ms: float  # the rows of all in one process; weak: alone_ms
    peak_gib: float

    def told(self) -> dict[str, float | int | str]:
        """With what follows: rows a second of all, efficiency against one process, and the share of
        the step that is communication."""
        rate = self.processes * self.rows / self.joined_ms * 1e3
        ideal = self.one_ms / (self.processes if self.scaling == "strong" else 1)
        lost = max(0.0, 1 - self.alone_ms / self.joined_ms)
        return {**asdict(self), "rate": rate, "efficiency": ideal / self.joined_ms, "lost": lost}


def part_of(asked: Requests, rows: Tensor) -> Requests:
    """These requests, in their order."""
    paths = Paths(asked.paths.step, asked.paths.start[rows], asked.paths.slots)
    cut = {name: part[rows] for name, part in vars(asked).items() if isinstance(part, Tensor)}
    return Requests(**cut, paths=paths, pieces=asked.pieces.take(rows))


def step_of(
    rows: int, width: int, seed: int, how: How, device: str, processes: Processes, own: Tensor
) -> tuple[Step, Tensor]:
    """(a step on this part of `rows` requests, the chance of all of them on the CPU)."""
    config = GeneratorConfig(width=width, layers=2, group=16)
    policy, clone = networks(width, 2, 0)
    world = world_of(rows, seed)
    asked = part_of(world.requests, own)
    here = copy.copy(world)
    object.__setattr__(here, "requests", asked)
    step = Step(
        policy.to(device), clone.to(device), here.to(device).requests, CAUTION, config, how, processes
    )  # fmt: skip
    chance = torch.rand(rows, 16, SLOTS, generator=torch.Generator().manual_seed(seed))
    return step, chance


def agreement(
    processes: Processes, rows: int, width: int, how: How, device: str, steps: int
) -> str:
    """How far `steps` steps of all together end from those of one process with all rows.

    Beside it, how far one process ends from itself with its rows in the opposite order: what
    rounding alone does.
    """
    alone, order = slice(0, rows), torch.arange(rows)
    told = (rows, width, how, device, steps)
    one = walked(ALONE, alone, order, *told)
    mine = walked(processes, processes.part(rows), order, *told)
    turned = walked(ALONE, alone, order.flip(0), *told)
    (loss, off), (own_loss, own_off) = apart(mine, one), apart(turned, one)
    return (
        f"{steps} steps: losses within {loss:.1e} of one process', weights moved within {off:.1e} "
        f"(one process, its rows in the opposite order: {own_loss:.1e}, {own_off:.1e})"
    )


Walked = tuple[list[float], dict[str, Tensor]]


def walked(
    processes: Processes, own: slice, order: Tensor, rows: int, width: int, how: How, device: str,
    steps: int,
) -> Walked:  # fmt: skip
    """(loss of each step, how far it moved each weight)."""
    step, chance = step_of(rows, width, 3, how, device, processes, order[own])
    begun = {n: p.detach().clone() for n, p in step.network.named_parameters()}
    losses = []
    for number in range(steps):
        step.uniform.copy_(chance.roll(number, 0)[order[own]])
        losses.append(step.run().loss.detach().clone())
    moved = {n: p.detach() - begun[n] for n, p in step.network.named_parameters()}
    return [float(loss) for loss in losses], moved


def apart(found: Walked, truth: Walked) -> tuple[float, float]:
    """(largest relative difference of a loss, ||difference of the moves|| / ||moves||)."""
    loss = max(abs(a - b) / abs(b) for a, b in zip(found[0], truth[0], strict=True))
    kept = [n for n in truth[1] if not n.endswith(("key.bias", "mixed.bias", "memory.bias"))]
    whole = torch.cat([truth[1][n].flatten() for n in kept])
    off = torch.cat([(found[1][n] - truth[1][n]).flatten() for n in kept])
    return loss, float(off.norm() / whole.norm())


def timed_ms(run: Callable[[], object], steps: int, processes: Processes, device: str) -> float:
    """Milliseconds of one of `steps` steps, median of the repeats."""
    found = []
    for _ in range(REPEATS):
        settle(processes, device)
        began = time.perf_counter()
        for _ in range(steps):
            run()
        settle(ALONE, device)
        found.append((time.perf_counter() - began) / steps * 1e3)
    return statistics.median(found)


def settle(processes: Processes, device: str) -> None:
    """Everything before this is done, in all processes."""
    if device == "cuda":
        torch.cuda.synchronize()
    processes.first(0.0)


def generator_ms(
    rows: int, width: int, how: How, device: str, processes: Processes, steps: int
) -> float:
    """Milliseconds of a step with `rows` requests in this process."""
    step, chance = step_of(rows, width, processes.rank, how, device, processes, torch.arange(rows))
    step.uniform.copy_(chance)
    for _ in range(3):
        step.run()
    return timed_ms(step.run, steps, processes, device)


class EnoughError(Exception):
    """The steps to be timed are done."""


def reward_ms(
    world: Planted, bags: Bags, batch: int, config: RewardConfig, device: str, processes: Processes,
    steps: int,
) -> float:  # fmt: skip
    """Milliseconds of a step of `batch` rows of this log in all processes.

    They are all that is learned from: a log of several batches is shuffled on the host every pass,
    which one process would do more often than two.
    """
    bags = bags.take(np.arange(batch))
    marks: list[float] = []

    def watch(done: int, total: int) -> None:
        if done % steps == 0:
            settle(processes, device)
            marks.append(time.perf_counter())
        if len(marks) > REPEATS:
            raise EnoughError

    asked = {**vars(config), "batch": batch, "passes": 1.0, "steps": max(steps * 10, 240)}
    with suppress(EnoughError):
        fit_reward(
            bags, bags.take(np.arange(0)), world.elements, CONTEXT,
            RewardConfig(**asked), seed=0, device=device, processes=processes, progress=watch,
        )  # fmt: skip
    gaps = [b - a for a, b in pairwise(marks)]
    return statistics.median(gaps) / steps * 1e3


def peak_gib(device: str) -> float:
    """Most memory that tensors held since the last question."""
    gc.collect()  # a compiled step holds itself, and its graph the others' communicator
    if device != "cuda":
        return 0.0
    found = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return found
