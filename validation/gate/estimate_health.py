"""Gate: can the offline number be trusted? It holds, it never rejects, where it can't."""

from dataclasses import replace

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Estimate, Evidence, Health, Outcome
from validation.gate.limits import EstimateHealthLimits
from validation.gate.rules import at_least, at_most, inside, say

NAME = "estimate health"
SOURCE = "evidence.policy_value"
PER = 1000


def decide(evidence: Evidence, limits: EstimateHealthLimits) -> Decision:
    """Passes where the log overlaps, weights are spread and sum as they must, estimators agree."""
    target = evidence.target()
    if evidence.incumbent.unreadable:
        return decided(NAME, [_nothing("the champion could not be scored")])
    if target is None:
        return unmeasured(NAME, "policy_value")
    if target.wanting:
        return decided(NAME, [_nothing(target.wanting)])
    findings = _weights(target.health, limits)
    if target.incumbent_health is not None:
        metric = f"effective sample of {evidence.incumbent.name}"
        sample, least = target.incumbent_health.effective_sample, limits.effective_sample_min
        findings.append(at_least(metric, sample, least, f"{SOURCE}.incumbent_health"))
    findings += [_mean_weight(target, limits), _agreement(target), _stability(target, limits)]
    return decided(NAME, findings)


def _nothing(because: str) -> Finding:
    sentence = f"no estimate to look at: {because}"
    return Finding("estimate", None, None, None, "insufficient", SOURCE, sentence)


def _weights(health: Health, limits: EstimateHealthLimits) -> list[Finding]:
    source = f"{SOURCE}.health"
    sample, events = limits.effective_sample_min, limits.effective_events_min
    largest, support = limits.largest_share_max, limits.support_min
    return [
        at_least("effective sample", health.effective_sample, sample, source),
        at_least("effective rewarded displays", health.effective_events, events, source),
        at_most("largest share of one display", health.largest_share, largest, source),
        at_least("support", health.support, support, source),
    ]


def _mean_weight(target: Outcome, limits: EstimateHealthLimits) -> Finding:
    """Its interval must reach into 1 +- tolerance."""
    mean = target.estimates.get("mean_weight", Estimate()).challenger
    tolerance = limits.mean_weight_tolerance
    band = replace(mean, low=mean.low - tolerance, high=mean.high + tolerance)
    sentence = (
        f"mean weight is {say(mean.value)} ({say(mean.low)} to {say(mean.high)}), "
        f"it should be 1 within {tolerance:g}"
    )
    finding = inside("mean weight", 1.0, band, f"{SOURCE}.estimates.mean_weight", sentence)
    return finding if finding.value is None else replace(finding, value=mean.value, threshold=1.0)


def _agreement(target: Outcome) -> Finding:
    """SNIPS and DR must not differ by more than chance."""
    apart = target.agreement
    sentence = (
        f"SNIPS less DR is {say(PER * apart.value)} ({say(PER * apart.low)} to "
        f"{say(PER * apart.high)}) per 1,000 displays, 0 should lie within"
    )
    finding = inside("SNIPS less DR", 0.0, apart, f"{SOURCE}.agreement", sentence)
    return finding if finding.value is None else replace(finding, value=apart.value, threshold=0.0)


def _stability(target: Outcome, limits: EstimateHealthLimits) -> Finding:
    """Few large weights must not be what decides."""
    name = f"snips_clip_{limits.stable_at:g}"
    clipped = target.estimates.get(name, Estimate()).difference.value
    whole = target.estimates.get("snips", Estimate()).difference
    metric = f"difference with weights clipped at {limits.stable_at:g}"
    sentence = (
        f"{metric} is {say(PER * clipped)} per 1,000 displays, by SNIPS "
        f"{say(PER * whole.low)} to {say(PER * whole.high)}"
    )
    return inside(metric, clipped, whole, f"{SOURCE}.estimates.{name}", sentence)
