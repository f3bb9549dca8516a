"""Gate: was the day's data fit, of usual volume, and final?"""

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Data, Evidence
from validation.gate.limits import DataLimits
from validation.gate.rules import at_least, at_most, missing, note, say

NAME = "data"
FIT = "FIT"


def decide(evidence: Evidence, limits: DataLimits) -> Decision:
    """Fails on a blocked day, too many unfit rows or an unusual volume; holds on young labels."""
    day = evidence.data
    if day is None:
        return unmeasured(NAME, NAME)
    quarantined = at_most(
        "quarantined share",
        day.quarantined_share,
        limits.quarantined_share_max,
        "evidence.data.quarantined_share",
        otherwise="fail",
    )
    mature = at_least(
        "share of final labels",
        day.mature_share,
        limits.mature_share_min,
        "evidence.data.mature_share",
    )
    return decided(NAME, [_verdict(day), quarantined, _volume(day), mature])


def _verdict(day: Data) -> Finding:
    source = "evidence.data.verdict"
    if day.verdict is None:
        return missing("validation", FIT, source)
    if day.verdict == FIT and not day.blocking:
        return note("validation", FIT, source, "validation found the day fit")
    rules = ", ".join(day.blocking) or "no rule named"
    sentence = f"validation's verdict is {day.verdict} ({rules}); see the data page"
    return Finding("validation", day.verdict, FIT, None, "fail", source, sentence)


def _volume(day: Data) -> Finding:
    source, band = "evidence.data.volume", day.volume
    if band is None:
        said = "no earlier same weekday to compare the volume with"
        return note("volume", None, source, said)
    distance = min(band.value - band.low, band.high - band.value)
    if distance != distance:
        return missing("volume", "inside its band", source)
    threshold = f"{say(band.low)} to {say(band.high)}"
    where = "inside" if distance >= 0 else "outside"
    sentence = f"{say(band.value)} displays, {where} the same weekday's band of {threshold}"
    status = "pass" if distance >= 0 else "fail"
    return Finding("volume", band.value, threshold, distance, status, source, sentence)
