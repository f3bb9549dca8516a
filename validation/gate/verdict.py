"""Every gate's word, and the verdict: PROMOTE, HOLD or REJECT with all reasons."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from validation.gate import (
    data,
    estimate_health,
    features,
    integrity,
    person,
    policy_safety,
    policy_value,
    provenance,
    reward_model,
    serving,
    slices,
)
from validation.gate.decision import Decision
from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.trees import to_tree

Verdict = Literal["PROMOTE", "HOLD", "REJECT"]
JUDGES: tuple[tuple[str, Callable[[Evidence, Any], Decision]], ...] = (
    ("provenance", provenance.decide),
    ("data", data.decide),
    ("features", features.decide),
    ("reward_model", reward_model.decide),
    ("slices", slices.decide),
    ("policy_value", policy_value.decide),
    ("estimate_health", estimate_health.decide),
    ("policy_safety", policy_safety.decide),
    ("serving", serving.decide),
    ("integrity", integrity.decide),
    ("person", person.decide),
)


@dataclass(frozen=True)
class Judgement:
    """The verdict with its reasons ("gate: sentence"), decisions in order, and what was judged."""

    verdict: Verdict
    reasons: tuple[str, ...]
    decisions: tuple[Decision, ...]
    evidence_digest: str

    def to_dict(self) -> dict[str, Any]:
        return to_tree(self)


def judge(evidence: Evidence, limits: Limits | None) -> Judgement:
    """Any gate that fails rejects, else any that is insufficient holds, else it is a promotion.

    Raises ValueError without limits.
    """
    if limits is None:
        raise ValueError("found no limits, expected validation.gate.limits.Limits; configure them")
    decisions = tuple(decide(evidence, getattr(limits, name)) for name, decide in JUDGES)
    statuses = {decision.status for decision in decisions if decision.decides}
    verdict: Verdict = "PROMOTE"
    if "fail" in statuses:
        verdict = "REJECT"
    elif "insufficient" in statuses:
        verdict = "HOLD"
    return Judgement(verdict, _reasons(decisions), decisions, evidence.digest())


def _reasons(decisions: tuple[Decision, ...]) -> tuple[str, ...]:
    """Every finding that did not pass, failures first; where all passed, what policy value says."""
    open_ = [
        (finding.status != "fail", f"{decision.name}: {finding.sentence}")
        for decision in decisions
        if decision.decides
        for finding in decision.findings
        if finding.status != "pass"
    ]
    if open_:
        return tuple(sentence for _, sentence in sorted(open_, key=lambda one: one[0]))
    gains = [d for d in decisions if d.name == policy_value.NAME]
    said = [(d, f) for d in gains for f in d.findings if f.metric.startswith("difference by")]
    return tuple(f"{decision.name}: {finding.sentence}" for decision, finding in said)
