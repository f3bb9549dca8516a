"""Which weights decide an outcome: those of whole combinations, or those of slots (ADR 15)."""

from validation.gate.evidence import Health, Interval, Outcome
from validation.gate.limits import PolicyValueLimits

FEWEST_CLUSTERS = 2
SLOTS = ("pi", "pi_dr")


def by_slots(outcome: Outcome, effective_min: float, covered_min: float) -> bool:
    """True where whole combinations have too few effective displays and slots have enough.

    covered_min: share of the displays that must have a slot weight. Rewards play no part in it.
    """
    if enough(outcome.health, outcome.incumbent_health, effective_min):
        return False
    return slots_speak(outcome, effective_min, covered_min)


def deciding(outcome: Outcome, limits: PolicyValueLimits) -> tuple[str, ...]:
    """The estimators that decide this outcome, all of which must agree."""
    slots = by_slots(outcome, limits.effective_sample_min, limits.slots_known_min)
    return limits.slot_estimators if slots else limits.estimators


def decisive(outcome: Outcome, limits: PolicyValueLimits) -> tuple[str, Interval] | None:
    """The deciding estimator with the lowest lower bound, and its difference; None without any."""
    found = [
        (name, outcome.estimates[name].difference)
        for name in deciding(outcome, limits)
        if name in outcome.estimates
    ]
    bounded = [one for one in found if one[1].low == one[1].low]  # not nan
    return min(bounded, key=lambda one: one[1].low, default=None)


def slots_speak(outcome: Outcome, effective_min: float, covered_min: float) -> bool:
    """Whether slot estimates of both policies rest on enough."""
    if outcome.slot_health is None or outcome.clusters < FEWEST_CLUSTERS:
        return False
    if not set(SLOTS) <= set(outcome.estimates):
        return False
    covered = outcome.slot_health.known_share >= covered_min
    return covered and enough(outcome.slot_health, outcome.slot_incumbent_health, effective_min)


def enough(health: Health, incumbent: Health | None, effective_min: float) -> bool:
    """Whether both policies have the effective displays asked for; nan is not enough."""
    both = [health, incumbent] if incumbent is not None else [health]
    return all(one.effective_sample >= effective_min for one in both)
