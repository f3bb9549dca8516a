"""The band in which a day's bags are of usual number: earlier same weekdays, in logarithms.

The one place where volume is judged; the findings of a day and the gate's evidence both take it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median, stdev

from validation.sanity.limits import Unusual

LEAST_SPREAD = 0.1  # of log counts: days do not repeat themselves more closely than this


@dataclass(frozen=True)
class Band:
    """From how many to how many bags a day usually has, and of how many days that is known."""

    low: float
    high: float
    days: int


def same_weekdays(ds: str, sizes: Mapping[str, int]) -> list[int]:
    """Sizes of the days before ds that are of its weekday, oldest first."""
    weekday = date.fromisoformat(ds).weekday()
    return [
        sizes[dt] for dt in sorted(sizes) if dt < ds and date.fromisoformat(dt).weekday() == weekday
    ]


def volume_band(earlier: Sequence[int], limits: Unusual) -> Band | None:
    """The median of earlier same weekdays within `volume_band` deviations; None: too few days."""
    if len(earlier) < max(limits.weekdays, 2):
        return None
    logs = [math.log(max(one, 1)) for one in earlier]
    reach = limits.volume_band * max(stdev(logs), LEAST_SPREAD)
    middle = median(logs)
    return Band(math.exp(middle - reach), math.exp(middle + reach), len(earlier))
