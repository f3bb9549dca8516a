"""What is unusual of a day beyond its single rows: facts and limits -> findings that warn.

A finding never blocks a day: the verdict is that of the rows (validation/quarantine.py).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Any, Literal

from validation.drift.fields import Drift
from validation.sanity.limits import Unusual
from validation.sanity.schema import Change
from validation.sanity.volume import volume_band

Outcome = Literal["pass", "warn", "insufficient"]


@dataclass(frozen=True)
class Finding:
    """One check beyond the rows: what was found, the limit it was held to, and in words."""

    check: str
    subject: str
    value: float | None
    limit: float | None
    outcome: Outcome
    says: str


def volume(count: int, earlier: Sequence[int], limits: Unusual) -> Finding:
    """The day's bags against earlier same weekdays (volume.py)."""
    band = volume_band(earlier, limits)
    if band is None:
        says = f"volume: {count:,} bags; {len(earlier)} earlier same weekdays known, "
        says += f"{limits.weekdays} needed to tell whether that is usual"
        return Finding("volume", "bags", float(count), None, "insufficient", says)
    outcome: Outcome = "pass" if band.low <= count <= band.high else "warn"
    says = f"volume: {count:,} bags, expected {band.low:,.0f} to {band.high:,.0f} of {band.days} "
    return Finding(
        "volume", "bags", float(count), band.low, outcome, says + "earlier same weekdays"
    )


def freshness(
    last_hour: float | None, weekdays: Sequence[float], recent: Sequence[float], limits: Unusual
) -> Finding:
    """Hours into the day of its last display, against the usual end of earlier days.

    weekdays: ends of earlier same weekdays; recent: of the days just before, taken while too few
    same weekdays are known.
    """
    enough = len(weekdays) >= limits.weekdays
    ends, which = (weekdays, "same weekdays") if enough else (recent, "days before")
    if last_hour is None or not ends:
        says = "freshness: no earlier day to compare the last display's time with"
        return Finding("freshness", "last display", last_hour, None, "insufficient", says)
    usual = median(ends)
    early = usual - last_hour
    says = f"freshness: last display {last_hour:.1f} h into the day, usually {usual:.1f} h ("
    says += f"{len(ends)} {which})"
    outcome: Outcome = "warn" if early > limits.last_hours else "pass"
    return Finding("freshness", "last display", early, limits.last_hours, outcome, says)


def schema(changes: Iterable[Change] | None, against: str | None) -> list[Finding]:
    """One finding a column added, removed or retyped against the day before; one pass without."""
    if changes is None:
        says = "schema: no earlier fit day of the window whose columns are known"
        return [Finding("schema", "columns", None, None, "insufficient", says)]
    found = [
        Finding("schema", f"{one.kind}.{one.column}", None, None, "warn", f"schema: {one.says}")
        for one in changes
    ]
    says = f"schema: the columns of the logs are those of {against}"
    return found or [Finding("schema", "columns", None, None, "pass", says)]


def drifted(drifts: Iterable[Drift], limits: Unusual) -> list[Finding]:
    """One finding a field; larger than the limit and than what chance gives warns."""
    found = []
    for one in drifts:
        if math.isnan(one.psi):
            says = f"drift of {one.field}: no earlier rows to compare with"
            found.append(Finding("drift", one.field, None, limits.psi, "insufficient", says))
            continue
        units = "" if math.isnan(one.distance) else f", Wasserstein {one.distance:.3g}"
        says = f"drift of {one.field}: PSI {one.psi:.3f} (chance gives up to {one.psi_null:.3f}), "
        says += f"Jensen-Shannon {one.jensen_shannon:.3f}{units}"
        outcome: Outcome = "warn" if one.beyond(limits.psi) else "pass"
        found.append(Finding("drift", one.field, one.psi, limits.psi, outcome, says))
    return found


def maturity(share: float | None, limits: Unusual) -> Finding:
    """Share of the day's displays whose click window had closed."""
    if share is None:
        return Finding("maturity", "clicks", None, None, "insufficient", "maturity: no fit bag")
    says = f"maturity: the click window of {share:.1%} of the displays had closed"
    outcome: Outcome = "warn" if share < limits.mature_clicks else "pass"
    return Finding("maturity", "clicks", share, limits.mature_clicks, outcome, says)


def mean_weight(
    policy: str, mean: float | None, error: float | None, displays: int, limits: Unusual
) -> Finding:
    """The logging policy's mean weight to itself, 1 where the logged propensities are true.

    Over pairs of displays of the same product, context and policy: whether both show the same,
    divided by its propensity. error: its standard error.
    """
    if mean is None or error is None or math.isnan(mean):
        says = f"propensity of {policy}: no two displays of a cell with known propensities, so its "
        says += "mean weight can't be told"
        return Finding("mean weight", policy, None, limits.mean_weight, "insufficient", says)
    beyond = abs(mean - 1) > max(limits.mean_weight, 3 * error)
    outcome: Outcome = "warn" if beyond else "insufficient" if 3 * error > 1 else "pass"
    says = f"propensity of {policy}: mean weight to itself {mean:.3f} (standard error {error:.3f}, "
    says += f"{displays:,} displays), expected near 1"
    return Finding("mean weight", policy, mean, limits.mean_weight, outcome, says)


def support(lowest: float | None, limits: Unusual) -> Finding:
    """The least propensity that was logged: the largest weight is its inverse."""
    if lowest is None:
        says = "support: no propensity was logged, so no off-policy claim can be made"
        return Finding("support", "propensity", None, None, "insufficient", says)
    outcome: Outcome = "warn" if lowest < limits.lowest_propensity else "pass"
    says = f"support: the least propensity is {lowest:.3g}; one display may weigh {1 / lowest:,.0f}"
    return Finding("support", "propensity", lowest, limits.lowest_propensity, outcome, says)


@dataclass(frozen=True)
class Sums:
    """Sums of the propensities of what each cell of product, context and policy was shown with.

    whole: cells that showed every combination there is for their product, so that theirs is 1;
    over, short: cells above 1, and whole ones below it, by more than the limit.
    """

    cells: int
    over: int
    highest: float | None
    whole: int = 0
    short: int = 0
    least: float | None = None


def sums(found: Sums, limits: Unusual) -> Finding:
    """Propensities add up to at most 1, and to 1 where a product's combinations were all shown."""
    if not found.cells or found.highest is None:
        says = "sum of propensities: none is known"
        return Finding("propensity sum", "all", None, None, "insufficient", says)
    outcome: Outcome = "warn" if found.over or found.short else "pass"
    says = f"sum of propensities: above 1 in {found.over:,} of {found.cells:,} cells of product, "
    says += f"context and policy; the highest is {found.highest:.3f}"
    if found.whole and found.least is not None:
        says += f"; below 1 in {found.short:,} of the {found.whole:,} cells that showed every "
        says += f"combination there is, the least is {found.least:.3f}"
    worst = found.least if found.short and not found.over else found.highest
    return Finding("propensity sum", "all", worst, 1 + limits.sum_error, outcome, says)


def rates(kind: str, today: Sequence[Mapping[str, Any]], limits: Unusual) -> list[Finding]:
    """Each policy's rate today against the same policy's on earlier days.

    today: {policy, displays, events, spread, earlier, earlier_spread}; spread: standard error of
    the rate over users; rates a display. The level is divided by the number of policies.
    """
    level = limits.rate_level / max(len(today), 1)
    reach = NormalDist().inv_cdf(1 - level / 2)
    found = []
    for row in today:
        rate, before = row["rate"], row["earlier"]
        half = 1.96 * (row["spread"] or 0.0)
        says = f"{kind} of {row['policy']}: {rate:.3%} ({max(rate - half, 0):.3%} to "
        says += f"{rate + half:.3%})"
        if before is None or not row["spread"]:
            says += ", no earlier day of it to compare with"
            found.append(Finding(kind, row["policy"], rate, None, "insufficient", says))
            continue
        apart = math.hypot(row["spread"], row["earlier_spread"] or 0.0)
        score = abs(rate - before) / apart
        outcome: Outcome = "warn" if score > reach else "pass"
        says += f", earlier days {before:.3%}"
        found.append(Finding(kind, row["policy"], rate, before, outcome, says))
    return found
