"""Gate: would the challenger show anything illegal, collapse, or exploit its own reward model?"""

import math

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Evidence, Safety
from validation.gate.limits import PolicySafetyLimits
from validation.gate.rules import above, at_least, at_most, missing, note

NAME = "policy safety"
SOURCE = "evidence.safety"


def decide(evidence: Evidence, limits: PolicySafetyLimits) -> Decision:
    """Fails on an illegal combination or a collapsed policy; holds where others see no gain."""
    safety = evidence.safety
    if safety is None:
        return unmeasured(NAME, "safety")
    entropy = at_least(
        "entropy", safety.entropy, limits.entropy_min, f"{SOURCE}.entropy", otherwise="fail"
    )
    findings = [_illegal(safety, limits), entropy]
    findings += _against_champion(evidence, safety, limits)
    findings += [_other_fold(evidence, safety)] if limits.other_fold_gain else []
    return decided(NAME, findings)


def _illegal(safety: Safety, limits: PolicySafetyLimits) -> Finding:
    source = f"{SOURCE}.illegal"
    if safety.illegal is None or not safety.sampled:
        return missing("illegal combinations", limits.illegal_max, source)
    metric = f"illegal combinations of {safety.sampled:,}"
    return at_most(metric, safety.illegal, limits.illegal_max, source, otherwise="fail")


def _against_champion(
    evidence: Evidence, safety: Safety, limits: PolicySafetyLimits
) -> list[Finding]:
    if not evidence.incumbent.is_champion or evidence.incumbent.unreadable:
        return [note("champion", None, SOURCE, "no champion to compare entropy and coverage with")]
    name, findings = evidence.incumbent.name, []
    if limits.entropy_ratio_min is not None:
        share = _share(safety.entropy, safety.champion_entropy)
        metric, least = f"entropy as a share of {name}'s", limits.entropy_ratio_min
        findings.append(at_least(metric, share, least, f"{SOURCE}.champion_entropy", "fail"))
    if limits.coverage_ratio_min is not None:
        share = _share(safety.coverage, safety.champion_coverage)
        metric, least = f"coverage as a share of {name}'s", limits.coverage_ratio_min
        findings.append(at_least(metric, share, least, f"{SOURCE}.champion_coverage", "fail"))
    if limits.kl_max is not None:
        metric = f"divergence from {name} (KL)"
        findings.append(at_most(metric, safety.kl, limits.kl_max, f"{SOURCE}.kl"))
    return findings


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _other_fold(evidence: Evidence, safety: Safety) -> Finding:
    """A gain that only the generator's own reward model sees is a reason to wait."""
    source, target = f"{SOURCE}.other_fold_gain", evidence.target()
    metric = "gain predicted by a reward model of other rows"
    if target is not None and target.health.displays == 0:
        sentence = f"{metric}: no display was held out to judge on"
        return Finding(metric, None, 0.0, None, "insufficient", source, sentence)
    finding = above(metric, safety.other_fold_gain, 0.0, source, 1000)
    if finding.status == "fail" and finding.value is not None:
        return finding.softened("the generator may exploit its own reward model")
    return finding
