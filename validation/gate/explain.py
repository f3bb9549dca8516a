"""What would settle a finding that did not pass: how much more evidence, or what must change.

An interval's half-width falls with the square root of the displays, so an estimate that stays
where it is settles at displays * (half-width / distance of the estimate from the threshold)^2.
That is a plan, not a promise: more displays move the estimate too.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from validation.gate.decision import Decision, Finding
from validation.gate.evidence import Evidence
from validation.gate.rules import say

SAMPLES = ("effective sample", "effective rewarded displays", "rewarded displays", "clusters")
MANY = 100.0  # times the displays: more than a log will give


@dataclass(frozen=True)
class Advice:
    """One open finding: its number, its threshold, and what would settle it; displays_needed is
    of judged displays, days_needed at the volume of the judged days."""

    gate: str
    metric: str
    status: str
    value: float | str | None
    threshold: float | str | None
    distance: float | None
    displays_needed: float | None
    days_needed: float | None
    sentence: str


def explain(decisions: Iterable[Decision], evidence: Evidence) -> tuple[Advice, ...]:
    """Advice for every finding that did not pass, in the order of the gates."""
    return tuple(
        _advice(decision.name, finding, evidence)
        for decision in decisions
        if decision.decides
        for finding in decision.findings
        if finding.status != "pass"
    )


def _advice(gate: str, finding: Finding, evidence: Evidence) -> Advice:
    displays, days = _judged(evidence)
    times = _times(finding)
    needed = None if times is None or not displays else displays * times
    a_day = displays / days if days else math.nan
    days_needed = None if needed is None or not a_day > 0 else needed / a_day
    return Advice(
        gate,
        finding.metric,
        finding.status,
        finding.value,
        finding.threshold,
        finding.distance,
        needed,
        days_needed,
        _sentence(finding, times, needed, days_needed),
    )


def _judged(evidence: Evidence) -> tuple[float, int]:
    """(displays that judged, days that they are of)."""
    target = evidence.target()
    displays = 0.0 if target is None else target.health.displays
    days = len(evidence.policy_value.judged_days) if evidence.policy_value else 0
    return (displays if math.isfinite(displays) else 0.0), days


def _times(finding: Finding) -> float | None:
    """How many times the judged displays would settle it; None where displays are not the matter."""
    value, threshold, distance = finding.value, finding.threshold, finding.distance
    if finding.status != "insufficient" or distance is None:
        return None
    if not isinstance(value, int | float) or not isinstance(threshold, int | float):
        return None
    if finding.side is None:
        counted = finding.metric.startswith(SAMPLES) and value > 0
        return threshold / value if counted else None
    beyond = value - threshold if finding.side == "above" else threshold - value
    return ((beyond - distance) / beyond) ** 2 if beyond > 0 else math.inf


def _sentence(
    finding: Finding, times: float | None, needed: float | None, days: float | None
) -> str:
    if finding.status == "fail":
        return f"{finding.sentence}; more displays do not change this, another version may"
    if times is None:
        return f"{finding.sentence}; this is not a matter of displays: mend what it names"
    if math.isinf(times):
        return (
            f"{finding.sentence}; the estimate itself is on the wrong side, so more displays only "
            "settle it if it moves"
        )
    if times > MANY:
        return (
            f"{finding.sentence}; it would take {say(times)} times the displays: log with more "
            "exploration, offer fewer combinations, or ask for a larger change"
        )
    if needed is None:
        return f"{finding.sentence}; {say(times)} times the displays would settle it"
    when = "" if days is None else f", {say(math.ceil(days))} days at this volume"
    return (
        f"{finding.sentence}; if the estimate stays, about {say(needed)} judged displays would "
        f"settle it ({say(times)} times as many{when})"
    )
