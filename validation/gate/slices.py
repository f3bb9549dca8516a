"""Gate: is anyone hurt?"""

import math

from validation.gate.basis import SLOTS
from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Evidence, Slice
from validation.gate.limits import SliceLimits
from validation.gate.rules import at_most, missing, note, say

NAME = "slices"
SOURCE = "evidence.slices"
PER = 1000


def decide(evidence: Evidence, limits: SliceLimits) -> Decision:
    """Fails where a slice does worse beyond doubt (Holm) or has no number; thin ones may hold."""
    slices = evidence.slices
    if slices is None:
        return unmeasured(NAME, NAME)
    if not slices:
        return decided(NAME, [note("slices", 0, SOURCE, "there is no slice to compare")])
    thick = [one for one in slices if not _thin(one, limits)]
    harmed = [_judge(one, limits) for one in thick]
    wrong = [finding for finding in harmed if finding.status == "fail"]
    if _few_effective(evidence, limits):
        because = "but too few effective displays stand behind it to refuse the version"
        wrong = [finding.softened(because) for finding in wrong]
    return decided(NAME, [*(wrong or [_worst(thick)]), _thin_share(slices, limits)])


def _few_effective(evidence: Evidence, limits: SliceLimits) -> bool:
    """Where a handful of rows carries the weight, normal p-values of harm are not to be trusted."""
    target = evidence.target()
    if target is None:
        return True
    by_slot = any(one.estimator in SLOTS for one in evidence.slices or ())
    health = target.slot_health if by_slot else target.health
    return health is None or not health.effective_sample >= limits.effective_sample_min


def _thin(one: Slice, limits: SliceLimits) -> bool:
    few = one.displays < limits.displays_min or one.events < limits.events_min
    return few or one.clusters < limits.clusters_min


def _judge(one: Slice, limits: SliceLimits) -> Finding:
    metric, source = f"{one.name}={one.value}", f"{SOURCE}[{one.name}={one.value}]"
    if math.isnan(one.p_holm) or math.isnan(one.difference.value):
        return missing(metric, limits.level, source)
    distance = one.p_holm - limits.level
    sentence = f"{_sentence(one)}; corrected p of harm {one.p_holm:.3f}, limit {limits.level:g}"
    status = "pass" if distance >= 0 else "fail"
    return Finding(metric, one.p_holm, limits.level, distance, status, source, sentence)


def _worst(thick: list[Slice]) -> Finding:
    if not thick:
        return note("worst slice", None, SOURCE, "every slice is too thin to compare")
    one = min(thick, key=lambda each: each.difference.low)
    sentence = f"none of {len(thick)} slices is worse beyond doubt; lowest bound: {_sentence(one)}"
    source = f"{SOURCE}[{one.name}={one.value}]"
    return note(f"{one.name}={one.value}", one.difference.low, source, sentence)


def _sentence(one: Slice) -> str:
    value, low, high = (
        say(PER * x) for x in (one.difference.value, one.difference.low, one.difference.high)
    )
    return f"{one.name}={one.value} {value} ({low} to {high}) per 1,000 displays"


def _thin_share(slices: tuple[Slice, ...], limits: SliceLimits) -> Finding:
    """The largest share of displays that lies in thin slices, over the ways of slicing."""
    shares = {
        name: sum(one.displays for one in slices if one.name == name and _thin(one, limits))
        / max(sum(one.displays for one in slices if one.name == name), 1)
        for name in dict.fromkeys(one.name for one in slices)
    }
    name = max(shares, key=lambda each: shares[each])
    metric = f"share of displays in thin slices of {name}"
    return at_most(metric, shares[name], limits.thin_share_max, SOURCE)
