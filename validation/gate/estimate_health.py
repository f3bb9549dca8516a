"""Gate: can the offline number be trusted? It holds, it never rejects, where it can't."""

from dataclasses import dataclass, replace

from validation.gate.basis import by_slots, enough
from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Estimate, Evidence, Health, Interval, Outcome
from validation.gate.limits import EstimateHealthLimits
from validation.gate.rules import at_least, at_most, inside, note, say

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
    slots = by_slots(target, limits.effective_sample_min, limits.slots_known_min)
    if target.wanting and not slots:
        return decided(NAME, [_nothing(target.wanting)])
    basis = _slot_basis(target, limits) if slots else _whole_basis(target, limits)
    findings = _weights(basis, limits)
    if basis.incumbent is not None:
        metric = f"{basis.prefix}effective sample of {evidence.incumbent.name}"
        sample, least = basis.incumbent.effective_sample, limits.effective_sample_min
        findings.append(at_least(metric, sample, least, f"{SOURCE}.{basis.place}"))
    findings += [_mean_weight(target, basis, limits), _agreement(basis), _stability(target, basis)]
    if not slots and target.slots_wanting and not basis_enough(target, limits):
        findings.append(note("slots", None, SOURCE, f"slots can't decide: {target.slots_wanting}"))
    return decided(NAME, findings)


@dataclass(frozen=True)
class Basis:
    """The weights that decide, with the names of their figures in the evidence."""

    prefix: str
    place: str
    health: Health
    incumbent: Health | None
    mean_weight: str
    agreement: Interval
    agree: str
    main: str
    clip: float


def _whole_basis(target: Outcome, limits: EstimateHealthLimits) -> Basis:
    return Basis(
        prefix="",
        place="health",
        health=target.health,
        incumbent=target.incumbent_health,
        mean_weight="mean_weight",
        agreement=target.agreement,
        agree="SNIPS less DR",
        main="snips",
        clip=limits.stable_at,
    )


def _slot_basis(target: Outcome, limits: EstimateHealthLimits) -> Basis:
    assert target.slot_health is not None, "slots decide only where they were measured"
    return Basis(
        prefix="slots' ",
        place="slot_health",
        health=target.slot_health,
        incumbent=target.slot_incumbent_health,
        mean_weight="pi_mean_weight",
        agreement=target.slot_agreement,
        agree="PI_DR less switch-DR",
        main="pi_dr",
        clip=limits.slots_stable_at,
    )


def basis_enough(target: Outcome, limits: EstimateHealthLimits) -> bool:
    """Whether whole combinations have the effective displays asked for."""
    return enough(target.health, target.incumbent_health, limits.effective_sample_min)


def _nothing(because: str) -> Finding:
    sentence = f"no estimate to look at: {because}"
    return Finding("estimate", None, None, None, "insufficient", SOURCE, sentence)


def _weights(basis: Basis, limits: EstimateHealthLimits) -> list[Finding]:
    source, prefix, health = f"{SOURCE}.{basis.place}", basis.prefix, basis.health
    sample, events = limits.effective_sample_min, limits.effective_events_min
    largest, support = limits.largest_share_max, limits.support_min
    return [
        at_least(f"{prefix}effective sample", health.effective_sample, sample, source),
        at_least(f"{prefix}effective rewarded displays", health.effective_events, events, source),
        at_most(f"{prefix}largest share of one display", health.largest_share, largest, source),
        at_least(f"{prefix}support", health.support, support, source),
    ]


def _mean_weight(target: Outcome, basis: Basis, limits: EstimateHealthLimits) -> Finding:
    """Its interval must reach into 1 +- tolerance."""
    mean = target.estimates.get(basis.mean_weight, Estimate()).challenger
    tolerance = limits.mean_weight_tolerance
    band = replace(mean, low=mean.low - tolerance, high=mean.high + tolerance)
    sentence = (
        f"{basis.prefix}mean weight is {say(mean.value)} ({say(mean.low)} to {say(mean.high)}), "
        f"it should be 1 within {tolerance:g}"
    )
    source = f"{SOURCE}.estimates.{basis.mean_weight}"
    finding = inside(f"{basis.prefix}mean weight", 1.0, band, source, sentence)
    return finding if finding.value is None else replace(finding, value=mean.value, threshold=1.0)


def _agreement(basis: Basis) -> Finding:
    """The estimators must not differ by more than chance."""
    apart = basis.agreement
    sentence = (
        f"{basis.agree} is {say(PER * apart.value)} ({say(PER * apart.low)} to "
        f"{say(PER * apart.high)}) per 1,000 displays, 0 should lie within"
    )
    finding = inside(basis.agree, 0.0, apart, f"{SOURCE}.{basis.place}.agreement", sentence)
    return finding if finding.value is None else replace(finding, value=apart.value, threshold=0.0)


def _stability(target: Outcome, basis: Basis) -> Finding:
    """Few large weights must not be what decides."""
    name = f"{basis.main}_clip_{basis.clip:g}"
    clipped = target.estimates.get(name, Estimate()).difference.value
    whole = target.estimates.get(basis.main, Estimate()).difference
    metric = f"difference with weights clipped at {basis.clip:g}"
    sentence = (
        f"{metric} is {say(PER * clipped)} per 1,000 displays, by {basis.main.upper()} "
        f"{say(PER * whole.low)} to {say(PER * whole.high)}"
    )
    return inside(metric, clipped, whole, f"{SOURCE}.estimates.{name}", sentence)
