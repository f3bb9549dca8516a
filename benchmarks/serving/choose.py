"""`choose` against the bare forward passes that it needs, on one core, in one run.

Bare: one encoder pass, four pointer steps (32 prefixes), one reward batch (32 combinations), timed
with the policy's own modules and prepared inputs. Warm: the products were asked for before, so
their encoder pass, what the reward network reads of them and their grid of pairs are remembered.
Cold: nothing is remembered of any product; the catalog's elements were read when it was loaded, and
products without rules share one automaton. Bare and choice are timed in turns; `--cpu` counts the
process' own time, for a machine that others use too.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time

import numpy as np
import torch

from benchmarks.serving.bare import Bare, bare_of
from benchmarks.serving.shop import policy_of, requests_of
from model.generator import search
from model.generator.grids import Grids
from model.generator.stock import Stock
from model.serving import REMEMBERED, ServingPolicy

TURNS = {1: 200, 256: 15}


@dataclass(frozen=True)
class Times:
    """Milliseconds of each turn."""

    encoder: list[float]
    steps: list[float]
    reward: list[float]
    choice: list[float]

    @staticmethod
    def empty() -> "Times":
        return Times([], [], [], [])

    def add(
        self, bare: Bare, choice: Callable[[], object], warm: bool, clock: Callable[[], float]
    ) -> None:
        """One turn of all four; each runs once untimed before, but for a cold choice."""
        passes = (bare.encoder, bare.pointer, bare.reward, choice)
        for kept, run in zip(
            (self.encoder, self.steps, self.reward, self.choice), passes, strict=True
        ):
            if warm or run is not choice:
                run()
            began = clock()
            run()
            kept.append(1000 * (clock() - began))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=32)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of the clock's")
    parser.add_argument("--sampled", type=float, default=0.0, help="share of drawn rewards")
    asked, _ = parser.parse_known_args(arguments)
    clock = process_time if asked.cpu else perf_counter
    torch.set_num_threads(1)
    policy = policy_of(asked.products, asked.sampled)
    print(f"choose: 4 slots x 16 candidates, 32 reranked, {asked.products} products, one core, ms")
    print(
        "| requests | products are | encoder | pointer | reward | bare | choose p50 | p99 | ratio | without encoder |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for requests in TURNS:
        for warm in (True, False):
            print(_line(requests, warm, timed(policy, requests, warm, clock)), flush=True)


def timed(policy: ServingPolicy, requests: int, warm: bool, clock: Callable[[], float]) -> Times:
    """The passes and the choice in turns, each turn with requests of its own."""
    rng, times = np.random.default_rng(0), Times.empty()
    for turn in range(TURNS[requests] + 3):
        products, contexts = requests_of(policy, requests, seed=turn)
        bare = bare_of(policy, products, contexts)
        if warm:
            policy.choose_many(products, contexts, rng)
        else:
            forget(policy)
        if turn == 3:
            times = Times.empty()
        if requests == 1:
            run = lambda p=products, c=contexts: policy.choose(p[0], c[0], rng)  # noqa: E731
        else:
            run = lambda p=products, c=contexts: policy.choose_many(p, c, rng)  # noqa: E731
        times.add(bare, run, warm, clock)
    return times


def forget(policy: ServingPolicy) -> None:
    """Nothing is remembered of any product, its legal combinations and its pairs neither."""
    policy._spaces.clear()
    policy._stock = Stock(policy.reward, policy.generator, policy.elements, REMEMBERED)
    search._grids = Grids()


def _line(requests: int, warm: bool, times: Times) -> str:
    encoder, steps, reward, choice = (
        float(np.median(part)) for part in (times.encoder, times.steps, times.reward, times.choice)
    )
    bare, late = encoder + steps + reward, float(np.quantile(times.choice, 0.99))
    numbers = " | ".join(f"{ms:.2f}" for ms in (encoder, steps, reward, bare, choice, late))
    return (
        f"| {requests} | {'warm' if warm else 'cold'} | {numbers} | {choice / bare:.2f} | "
        f"{choice / (steps + reward):.2f} |"
    )


if __name__ == "__main__":
    main()
