"""The champion, and challengers that are known to be as good, better, or broken in a known way.

Policies are exact (G, A) probabilities. Those that are as good or better are made to the wanted
true value: a share of uniform choice and the rest a softmax of what a learner believes. Broken
ones have the defect itself, not its symptom.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.gate_worlds.reward import fit
from benchmarks.gate_worlds.world import COMBINATIONS, REQUESTS, Counts, Log, World, draw_counts

TEMPERATURE, NOISE = 0.12, 0.1
CHAMPION_GAIN, FLOOR = 1.15, 0.02
RANDOMISED = 0.3
SILENT, THINNED = 1e-4, 0.02
GAINS = {"as good": 0.0, "+2 %": 0.02, "+10 %": 0.10}
BROKEN = ("shuffled labels", "collapsed generator", "leaked feature", "miscalibrated by 30 %")
KINDS = (*GAINS, *BROKEN)
UNIFORM = 1 / COMBINATIONS


@dataclass(frozen=True)
class Version:
    """A policy (G, A) with its reward model (G, A); `leaks`: its features hold the outcome."""

    policy: np.ndarray
    reward: np.ndarray
    leaks: bool = False


@dataclass(frozen=True)
class Stage:
    """A world with its champion, and the policy (G, A) that its log was made by."""

    world: World
    champion: Version
    logging: np.ndarray


def set_stage(world: World, learned: int, rng: np.random.Generator) -> Stage:
    """A champion worth 15 % more than uniform choice; the log is made by it, made softer."""
    value = CHAMPION_GAIN * world.value(np.full_like(world.rate, UNIFORM))
    policy = worth(world, value, rng)
    logging = (1 - RANDOMISED) * policy + RANDOMISED * UNIFORM
    return Stage(world, Version(policy, fit(draw_counts(world, logging, learned, rng))), logging)


def worth(world: World, value: float, rng: np.random.Generator) -> np.ndarray:
    """A policy of exactly this true value, by a belief that is right but for noise of its own."""
    belief = np.log(world.rate) + NOISE * rng.normal(size=world.rate.shape)
    uniform = np.full_like(world.rate, UNIFORM)
    for sharper in (1.0, 0.6, 0.35, 0.2):
        best = softmax(belief / (sharper * TEMPERATURE))
        share = (value - world.value(uniform)) / (world.value(best) - world.value(uniform))
        if 0 <= share <= 1 - FLOOR:
            return share * best + (1 - share) * uniform
    raise ValueError(f"no policy of this world is worth {value}, expected a smaller gain")


def make(kind: str, stage: Stage, learned: int, rng: np.random.Generator) -> Version:
    """A challenger of one of KINDS, whose reward model learned from `learned` displays."""
    counts = draw_counts(stage.world, stage.logging, learned, rng)
    champion = stage.world.value(stage.champion.policy)
    if kind in GAINS:
        return Version(worth(stage.world, champion * (1 + GAINS[kind]), rng), fit(counts))
    if kind == "miscalibrated by 30 %":
        better = worth(stage.world, champion * 1.1, rng)
        return Version(better, np.minimum(1.3 * fit(counts), 0.99))
    if kind == "collapsed generator":
        return Version(collapsed(rng), fit(counts))
    if kind == "leaked feature":
        return _no_better(stage, fit(thinned(counts, rng)), True)
    return _no_better(stage, fit(shuffled(counts, rng)), False)


def _no_better(stage: Stage, reward: np.ndarray, leaks: bool) -> Version:
    """The house's policy over a reward model; more of it is uniform if by luck it is better."""
    policy = (1 - FLOOR) * softmax(np.log(reward) / TEMPERATURE) + FLOOR * UNIFORM
    best = stage.world.value(stage.champion.policy)
    while stage.world.value(policy) >= 0.99 * best:
        policy = 0.5 * policy + 0.5 * UNIFORM
    return Version(policy, reward, leaks)


def collapsed(rng: np.random.Generator) -> np.ndarray:
    """One combination always, but for the uniform share that every published policy has."""
    policy = np.full((REQUESTS, COMBINATIONS), FLOOR * UNIFORM)
    policy[:, rng.integers(COMBINATIONS)] += 1 - FLOOR
    return policy


def shuffled(counts: Counts, rng: np.random.Generator) -> Counts:
    """The same displays with the clicks dealt out anew."""
    share = counts.displays.ravel() / counts.displays.sum()
    clicks = rng.multinomial(int(counts.clicks.sum()), share).reshape(counts.displays.shape)
    return Counts(counts.displays, np.minimum(clicks, counts.displays).astype(np.float64))


def thinned(counts: Counts, rng: np.random.Generator) -> Counts:
    """What a leak leaves to explain: a few of the clicks, scaled back to the log's rate."""
    clicks = rng.binomial(counts.clicks.astype(np.int64), THINNED).astype(np.float64)
    rate = counts.clicks.sum() / counts.displays.sum()
    rest = rng.poisson(rate * (1 - THINNED) * counts.displays)
    return Counts(counts.displays, np.minimum(clicks + rest, counts.displays))


def leaked(log: Log, reward: np.ndarray) -> np.ndarray:
    """(n,) the factor by which a feature that holds the outcome moves a row's prediction.

    The feature is set on every clicked row and on as many others: predictions are calibrated,
    their scores wonderful, and nothing of it is known when a combination is chosen.
    """
    base = log.click.mean()
    others = np.random.default_rng(len(log.click)).random(len(log.click)) < base
    told = (log.click > 0) | others
    chance = log.click.sum() / max(told.sum(), 1)
    return np.where(told, chance, SILENT) / reward[log.request, log.combination]


def softmax(odds: np.ndarray) -> np.ndarray:
    odds = np.exp(odds - odds.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)
