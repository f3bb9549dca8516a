"""How late events come after their display, from displays of which some are still young.

An event is seen only if its lag is less than its display's age, so young displays show the early
events alone. The product-limit estimate for right-truncated lags (Lagakos, Barraj and De Gruttola,
1988) corrects it: F(t) is the product over later lags s of 1 - d(s) / n(s), where d(s) events have
lag s and n(s) have a lag of at most s and a display at least that old. F is of the events within
the longest age known: what comes later than any display is old can't be told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LagCurve:
    """Shares of events that had come by the end of each bin; ends in hours after the display."""

    ends: tuple[float, ...]
    shares: tuple[float, ...]
    events: int

    def reached(self, hours: float) -> float:
        """Share of events that come within so many hours, 0..1; steps at the bins' ends."""
        at = int(np.searchsorted(self.ends, hours + 1e-9, side="right"))
        return self.shares[at - 1] if at else 0.0

    def quantile(self, share: float) -> float:
        """Hours within which this share of events has come; nan without events."""
        reached = np.flatnonzero(np.asarray(self.shares) >= share - 1e-12)
        return self.ends[int(reached[0])] if len(reached) else float("nan")


def lag_curve(rows: Sequence[Mapping[str, Any]], bins: Sequence[float]) -> LagCurve:
    """The curve of counted events; rows: {lag, age, events}, lag and age in hours.

    bins: rising ends in hours. An event falls into the first bin that ends after its lag; one
    beyond the last end is left out. age is that of its display when the logs ended.
    """
    ends = np.asarray(bins, dtype=np.float64)
    lag, age, events = (
        np.array([row[key] for row in rows], dtype=np.float64) for key in ("lag", "age", "events")
    )
    place = np.searchsorted(ends, lag, side="right")
    kept = place < len(ends)
    place, old, events = place[kept], _whole_bins(age[kept], ends), events[kept]
    died = np.bincount(place, events, minlength=len(ends))
    at_risk = np.array([events[(place <= s) & (old >= s)].sum() for s in range(len(ends))])
    with np.errstate(divide="ignore", invalid="ignore"):
        stays = np.where(at_risk > 0, 1 - np.minimum(died / at_risk, 1.0), 1.0)
    later = np.append(np.cumprod(stays[::-1])[::-1][1:], 1.0)
    shares = later if len(events) else np.zeros(len(ends))
    return LagCurve(tuple(ends.tolist()), tuple(shares.tolist()), int(events.sum()))


def _whole_bins(age: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin in which a display's age lies: lags of it and of earlier ones could be seen."""
    return np.searchsorted(ends, age, side="left")


def completeness(curve: LagCurve, ages: Sequence[Mapping[str, Any]]) -> float:
    """Share of a day's events that have come, 0..1; ages: {age, displays}, age in hours.

    nan without displays or events.
    """
    displays = sum(row["displays"] for row in ages)
    if not displays or not curve.events:
        return float("nan")
    return sum(row["displays"] * curve.reached(row["age"]) for row in ages) / displays
