"""Judgements of challengers whose true value is known, one world and one log each."""

from dataclasses import dataclass

import numpy as np

from benchmarks.gate_worlds.candidates import GAINS, KINDS, make, set_stage
from benchmarks.gate_worlds.judging import (
    DEFAULT,
    differences,
    evidence_of,
    logged_of,
)
from benchmarks.gate_worlds.world import draw_log, make_world
from validation.gate.verdict import judge

WINDOW, HELD_OUT = 28, 2
SINGLE, SINGLES = ("as good", "+10 %"), 50


@dataclass(frozen=True)
class Judged:
    """What came of one judgement; holding: the gates that did not pass.

    by_user, by_display: estimator -> did its 95 % interval of the difference cover the truth; by
    display of the first SINGLES logs of SINGLE only, where users are not clusters.
    """

    kind: str
    verdict: str
    holding: tuple[str, ...]
    by_user: dict[str, bool]
    by_display: dict[str, bool]


def one(kind: str, size: int, seed: int) -> Judged:
    """A fresh world with a log of `size` displays in 28 days, the last 2 of which judge."""
    rng = np.random.default_rng([seed, size, KINDS.index(kind)])
    held_out = size * HELD_OUT // WINDOW
    stage = set_stage(make_world(rng), size - held_out, rng)
    challenger = make(kind, stage, size - held_out, rng)
    log = draw_log(stage.world, stage.logging, held_out, rng)
    logged = logged_of(stage, challenger, log)
    found = judge(evidence_of(stage, challenger, log, logged, 1, seed, DEFAULT), DEFAULT)
    truth = stage.world.value(challenger.policy) - stage.world.value(stage.champion.policy)

    def covers(by_user: bool) -> dict[str, bool]:
        intervals = differences(logged, by_user, seed)
        return {name: bool(i.low <= truth <= i.high) for name, i in intervals.items()}

    return Judged(
        kind,
        found.verdict,
        tuple(d.name for d in found.decisions if d.decides and d.status != "pass"),
        covers(True) if kind in GAINS else {},
        covers(False) if kind in SINGLE and seed < SINGLES else {},
    )
