"""What the data page shows of the days before: spark lines, the calendar, since when alerts stand."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from markupsafe import Markup

from validation.pages.alerts import Alert
from validation.pages.charts import spark

SPARK_DAYS = 14
DAY = {
    "FIT": ("pass", "✓", "fit"),
    "BLOCKED": ("fail", "✕", "blocked"),
    "MISSING": ("none", "–", "not run"),
}


def spark_lines(view: Mapping[str, Any]) -> dict[str, Markup]:
    """Rule -> its failed rows on the last 14 days, this one last."""
    days = view["calendar"][-SPARK_DAYS:]
    today = {check["rule"]: check["unexpected"] for check in view["checks"]}
    today |= {group["rule"]: group["rows"] for group in view["quarantine"]}
    before = [day["failed"] for day in days if day["ds"] != view["ds"]]
    rules = set(today).union(*(failed for failed in before if failed))
    return {
        rule: _line([None if f is None else f.get(rule, 0) for f in before] + [today.get(rule, 0)])
        for rule in sorted(rules)
    }


def _line(counts: Sequence[int | None]) -> Markup:
    told = ", ".join("not known" if one is None else f"{one:,}" for one in counts)
    return spark(counts, f"Failed rows of the last {len(counts)} days: {told}")


def calendar_days(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The days with tone, sign, word, what stands in their cell, and their pages from this one."""
    up = "../" * (view["place"].count("/") + 1)
    days = []
    for at, day in enumerate(view["calendar"]):
        tone, sign, word = DAY[day["verdict"]]
        when = date.fromisoformat(day["ds"])
        own = day["ds"] == view["ds"]
        links = {key: up + day[key] if day.get(key) and not own else None for key in LINKS}
        label = when.strftime("%b") if when.day == 1 else str(when.day)
        shown = {"tone": tone, "sign": sign, "word": word, "own": own, "label": label}
        shown |= {"weekday": when.weekday() + 1 if at == 0 else None, "links": links}
        days.append({**day, **shown})
    return days


LINKS = ("data", "expectations")


def alert_rows(view: Mapping[str, Any], found: Sequence[Alert]) -> list[dict[str, Any]]:
    """Open alerts, with the day since which each stands and the last day before that told it."""
    days = [(d["ds"], d["alerts"]) for d in view["calendar"] if d["ds"] != view["ds"]]
    told = [(ds, names) for ds, names in days if names is not None]
    return [
        {
            "alert": one,
            "first": _since(one.name, told) or view["ds"],
            "before": _last(one.name, told),
        }
        for one in found
    ]


def _since(name: str, told: Sequence[tuple[str, Sequence[str]]]) -> str | None:
    """The first day of the unbroken run of days that told the alert, up to the last of them."""
    first = None
    for ds, names in reversed(told):
        if name not in names:
            break
        first = ds
    return first


def _last(name: str, told: Sequence[tuple[str, Sequence[str]]]) -> str | None:
    return next((ds for ds, names in reversed(told) if name in names), None)


def closed_alerts(view: Mapping[str, Any], found: Sequence[Alert]) -> list[tuple[str, str]]:
    """(alert, the day that told it last) of the last 14 days' alerts that are not open."""
    days = view["calendar"][-SPARK_DAYS:]
    told = [(d["ds"], d["alerts"]) for d in days if d["ds"] != view["ds"] and d["alerts"]]
    names = {name for _, alerts in told for name in alerts} - {one.name for one in found}
    return sorted((name, _last(name, told) or "") for name in names)
