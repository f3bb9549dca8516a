"""How a number meets its threshold: the few comparisons that all gates are made of."""

import math

from validation.gate.decision import Finding, Status
from validation.gate.evidence import Interval


def say(number: float) -> str:
    """A number as sentences write it: four digits that matter."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def missing(metric: str, threshold: float | str | None, source: str) -> Finding:
    """A number that is absent or nan fails."""
    sentence = f"{metric} is missing or not a number; see {source} and evaluate again"
    return Finding(metric, None, threshold, None, "fail", source, sentence)


def note(metric: str, value: float | str | None, source: str, sentence: str) -> Finding:
    """Passes, and says something that the reader should know."""
    return Finding(metric, value, None, None, "pass", source, sentence)


def at_least(
    metric: str, value: float, threshold: float, source: str, otherwise: Status = "insufficient"
) -> Finding:
    """Passes from the threshold on."""
    return _plain(metric, value, threshold, source, otherwise, value - threshold, "at least")


def at_most(
    metric: str, value: float, threshold: float, source: str, otherwise: Status = "insufficient"
) -> Finding:
    """Passes up to the threshold."""
    return _plain(metric, value, threshold, source, otherwise, threshold - value, "at most")


def _plain(
    metric: str,
    value: float,
    threshold: float,
    source: str,
    otherwise: Status,
    distance: float,
    words: str,
) -> Finding:
    if math.isnan(value):
        return missing(metric, threshold, source)
    sentence = f"{metric}: {say(value)}, the limit is {words} {say(threshold)}"
    status: Status = "pass" if distance >= 0 else otherwise
    return Finding(metric, value, threshold, distance, status, source, sentence)


def above(
    metric: str, interval: Interval, threshold: float, source: str, per: float = 1
) -> Finding:
    """Passes where the whole interval is above the threshold, fails where it is wholly below.

    Sentences show numbers times `per`, which is 1,000 for a reward per display. A value without
    bounds is insufficient; none at all fails.
    """
    unbounded = _unbounded(metric, interval, threshold, source)
    if unbounded:
        return unbounded
    status: Status = "insufficient"
    if interval.low > threshold:
        status = "pass"
    elif interval.high < threshold:
        status = "fail"
    sentence = _sentence(metric, interval, threshold, per, "above", status)
    distance = interval.low - threshold
    return Finding(metric, interval.value, threshold, distance, status, source, sentence, "above")


def below(
    metric: str, interval: Interval, threshold: float, source: str, per: float = 1
) -> Finding:
    """Passes where the whole interval is below the threshold, fails where it is wholly above."""
    unbounded = _unbounded(metric, interval, threshold, source)
    if unbounded:
        return unbounded
    status: Status = "insufficient"
    if interval.high < threshold:
        status = "pass"
    elif interval.low > threshold:
        status = "fail"
    sentence = _sentence(metric, interval, threshold, per, "below", status)
    distance = threshold - interval.high
    return Finding(metric, interval.value, threshold, distance, status, source, sentence, "below")


def inside(metric: str, value: float, band: Interval, source: str, sentence: str) -> Finding:
    """Passes where the value lies within the band, holds where it lies outside."""
    if math.isnan(value):
        return missing(metric, None, source)
    unbounded = _unbounded(metric, band, None, source)
    if unbounded:
        return unbounded
    distance = min(value - band.low, band.high - value)
    status: Status = "pass" if distance >= 0 else "insufficient"
    return Finding(metric, value, None, distance, status, source, sentence)


def _unbounded(
    metric: str, interval: Interval, threshold: float | None, source: str
) -> Finding | None:
    if not math.isfinite(interval.value):
        return missing(metric, threshold, source)
    if math.isfinite(interval.low) and math.isfinite(interval.high):
        return None
    sentence = f"{metric} is {say(interval.value)}, with too few clusters behind it for bounds"
    return Finding(metric, interval.value, threshold, None, "insufficient", source, sentence)


def _sentence(
    metric: str, interval: Interval, threshold: float, per: float, side: str, status: Status
) -> str:
    value, low, high = (say(x * per) for x in (interval.value, interval.low, interval.high))
    said = {
        "pass": f"wholly {side} {say(threshold * per)}",
        "fail": f"wholly on the wrong side of {say(threshold * per)}",
        "insufficient": f"which does not settle whether it is {side} {say(threshold * per)}",
    }[status]
    displays = f" per {per:,g} displays" if per > 1 else ""
    return f"{metric} is {value} ({low} to {high}){displays}, {said}"
