"""Twenty daily looks at challengers that are as good as the champion: how often is one promoted?

Every day a fresh challenger is judged on the last two days, so each look shares a day with the
look before. The same looks are judged twice: each at what it may spend, and each at 95 % as if it
were alone.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.gate_worlds.candidates import Stage, Version, make, set_stage
from benchmarks.gate_worlds.judging import DEFAULT, evidence_of, logged_of
from benchmarks.gate_worlds.power import WINDOW
from benchmarks.gate_worlds.world import Log, draw_log, make_world
from model.evaluation.estimators.snips import snips
from model.evaluation.intervals import influence
from model.evaluation.logged import Logged
from model.evaluation.totals import tally
from validation.gate.verdict import judge

ALONE = replace(
    DEFAULT,
    policy_value=replace(
        DEFAULT.policy_value, level=1 - (1 - DEFAULT.policy_value.level) * math.pi**2 / 6
    ),
)


@dataclass(frozen=True)
class Reign:
    """The first look that promoted, from 1; None where none did."""

    spent: int | None
    alone: int | None


def reign(size: int, looks: int, seed: int) -> Reign:
    """One champion's reign; `size` displays in 28 days, so a look judges on a fourteenth."""
    rng = np.random.default_rng([seed, size, looks])
    stage = set_stage(make_world(rng), size, rng)
    days = [_day(stage, size // WINDOW, number, rng) for number in range(looks + 1)]
    first: dict[str, int] = {}
    for look in range(1, looks + 1):
        challenger = make("as good", stage, size, rng)
        log = days[look - 1] + days[look]
        for name in _promoted_by(stage, challenger, log, look, seed):
            first.setdefault(name, look)
    return Reign(first.get("spent"), first.get("alone"))


def _day(stage: Stage, displays: int, number: int, rng: np.random.Generator) -> Log:
    log = draw_log(stage.world, stage.logging, displays, rng)
    return replace(log, user=log.user + number * 10_000_000)


def _promoted_by(
    stage: Stage, challenger: Version, log: Log, look: int, seed: int
) -> tuple[str, ...]:
    """Which of the two levels promotes; what is not above 0 at 95 % is not at a stricter one."""
    logged = logged_of(stage, challenger, log)
    if not _may_be_above(logged):
        return ()
    alone = judge(evidence_of(stage, challenger, log, logged, 1, seed, ALONE), ALONE)
    value = next(d for d in alone.decisions if d.name == "policy value")
    found = ("alone",) if alone.verdict == "PROMOTE" else ()
    if value.status == "pass":
        spent = judge(evidence_of(stage, challenger, log, logged, look, seed, DEFAULT), DEFAULT)
        found += ("spent",) if spent.verdict == "PROMOTE" else ()
    return found


def _may_be_above(logged: Logged) -> bool:
    """False where no 95 % interval by SNIPS can lie above 0: its difference is less than one
    standard error, and the rest of the evidence need not be made to know the verdict."""
    one = tally(logged, {"snips": snips})
    value = one.values()[0]
    shares = influence(one.numerator[:, 0], one.denominator[:, 0])
    return bool(value[0] - value[1] > np.sqrt(np.square(shares).sum()))
