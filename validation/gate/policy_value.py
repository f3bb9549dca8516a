"""Gate: does the challenger earn more than the incumbent?"""

from dataclasses import replace

from validation.gate import looks
from validation.gate.basis import by_slots, enough, slots_speak
from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Estimate, Evidence, Interval, Outcome, PolicyValue
from validation.gate.limits import PolicyValueLimits
from validation.gate.rules import above, at_least, note

NAME = "policy value"
SOURCE = "evidence.policy_value"
PER = 1000
ASSUMED = {
    "pi": "decided by slots, too few whole combinations overlap: assumes that the reward is a sum "
    "over slots",
    "pi_dr": "decided by slots: assumes that what the reward model leaves over is a sum over slots",
}


def decide(evidence: Evidence, limits: PolicyValueLimits) -> Decision:
    """Passes where every deciding estimator's lower bound is above the gain asked for.

    Fails where all of them say worse; holds in between, and where the log can't tell: without
    propensities no estimate is looked at, the direct method's least of all. Which decide, those
    of whole combinations or those of slots, is docs/adr/0015.
    """
    value, target = evidence.policy_value, evidence.target()
    if evidence.incumbent.unreadable:
        return decided(NAME, [_unreadable(evidence)])
    if value is None or target is None:
        return unmeasured(NAME, "policy_value")
    known = _known(target, limits)
    if known.status != "pass":
        return decided(NAME, [known])
    grounds = [known, *_grounds(evidence, target, value, limits)]
    slots = by_slots(target, limits.effective_sample_min, limits.slots_known_min)
    if target.wanting and not slots:
        return decided(NAME, [*grounds, _wanting(target)])
    primary = _by_slots(target, value, limits) if slots else _whole(target, value, limits)
    return decided(NAME, [*grounds, *primary, *_guardrails(value, limits)])


def _whole(target: Outcome, value: PolicyValue, limits: PolicyValueLimits) -> list[Finding]:
    """By whole combinations, which pi_dr must not contradict where it can speak."""
    primary = [_primary(target, value, name, limits) for name in limits.estimators]
    if not enough(target.health, target.incumbent_health, limits.effective_sample_min):
        because = "too few effective displays for its interval to be believed"
        primary = [f.softened(because) if f.status == "fail" else f for f in primary]
    against = target.estimates.get("pi_dr", Estimate()).difference
    speaks = slots_speak(target, limits.effective_sample_min, limits.slots_known_min)
    found = _together(primary)
    if speaks and against.high < 0:
        because = "it contradicts the estimators that decide; look at interactions of elements"
        found.append(_primary(target, value, "pi_dr", limits).softened(because))
    return found


def _by_slots(target: Outcome, value: PolicyValue, limits: PolicyValueLimits) -> list[Finding]:
    """By slots, each sentence with what it assumes."""
    found = _together([_primary(target, value, name, limits) for name in limits.slot_estimators])
    return [
        replace(finding, sentence=f"{finding.sentence}; {ASSUMED[name]}")
        if name in ASSUMED
        else finding
        for name, finding in zip(limits.slot_estimators, found, strict=True)
    ]


def _unreadable(evidence: Evidence) -> Finding:
    incumbent = evidence.incumbent
    sentence = f"{incumbent.name} could not be scored: {incumbent.unreadable}; rebaseline"
    return Finding("champion", None, "scored", None, "insufficient", "evidence.incumbent", sentence)


def _wanting(target: Outcome) -> Finding:
    source, why = f"{SOURCE}.health", target.wanting or ""
    return Finding("estimate", None, None, None, "insufficient", source, why)


def _known(target: Outcome, limits: PolicyValueLimits) -> Finding:
    """Where propensities are missing, whatever was estimated is of another population."""
    if target.health.displays == 0:
        return _wanting(target)
    known = at_least(
        "share of displays with a logged propensity",
        target.health.known_share,
        limits.known_propensity_min,
        f"{SOURCE}.health.known_share",
    )
    insufficient = "insufficient for any off-policy claim; log propensities"
    return known.softened(insufficient) if known.status == "insufficient" else known


def _grounds(
    evidence: Evidence, target: Outcome, value: PolicyValue, limits: PolicyValueLimits
) -> list[Finding]:
    """What must hold beside the estimates."""
    return [
        looks.decide(evidence, value, limits.level),
        at_least("clusters", target.clusters, limits.clusters_min, f"{SOURCE}.clusters"),
        at_least(
            "rewarded displays",
            target.health.events,
            limits.events_min,
            f"{SOURCE}.health.events",
        ),
    ]


def _primary(target: Outcome, value: PolicyValue, name: str, limits: PolicyValueLimits) -> Finding:
    """Wholly above the gain passes, wholly below 0 fails: too small a gain is not a loss."""
    source = f"{SOURCE}.{value.target}.estimates.{name}"
    gap = target.estimates.get(name, Estimate()).difference
    metric = f"difference by {name.upper()} in {target.unit}"
    finding = above(metric, gap, limits.gain_min, source, PER)
    if finding.status == "fail" and finding.value is not None and gap.high >= 0:
        return finding.softened("less than the gain asked for, but not shown to be a loss")
    return finding


def _together(primary: list[Finding]) -> list[Finding]:
    """A loss that not every estimator sees holds instead of rejecting."""
    lost = [f for f in primary if f.status == "fail" and f.value is not None]
    if len(lost) == len(primary):
        return primary
    because = "the estimators do not agree on it"
    return [f.softened(because) if f in lost else f for f in primary]


def _guarding(outcome: Outcome | None, limits: PolicyValueLimits) -> str:
    """The estimator of an outcome without predictions."""
    if outcome is None or enough(
        outcome.health, outcome.incumbent_health, limits.effective_sample_min
    ):
        return "snips"
    slots, known = outcome.slot_health, limits.slots_known_min
    if slots is None or not slots.known_share >= known:
        return "snips"
    least = limits.effective_sample_min
    return "pi" if enough(slots, outcome.slot_incumbent_health, least) else "snips"


def _guardrails(value: PolicyValue, limits: PolicyValueLimits) -> list[Finding]:
    findings = []
    for name, margin in limits.guardrails.items():
        source, outcome = f"{SOURCE}.{name}", value.outcomes.get(name)
        by = _guarding(outcome, limits)
        gap = outcome.estimates.get(by, Estimate()).difference if outcome else Interval()
        metric = f"guardrail {name}, by {by.upper()}"
        findings.append(above(metric, gap, -margin, source, PER))
    others = sorted(set(value.outcomes) - {value.target} - set(limits.guardrails))
    if others:
        said = f"shown, not judged: {', '.join(others)}"
        findings.append(note("other outcomes", None, SOURCE, said))
    return findings
