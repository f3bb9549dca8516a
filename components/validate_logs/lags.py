"""How late clicks and conversions come, over a day and the days before it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.sql import quote
from validation.sanity.lag import completeness, lag_curve

if TYPE_CHECKING:
    import duckdb

STEPS = 168  # bins of a window: an hour each where it is a week
_AT = {"clicks": "clicked_at", "conversions": "converted_at"}


def lags(
    database: "duckdb.DuckDBPyConnection", ds: str, windows: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """By kind: {window_hours, events, complete, points: [{hours, share}]} of `bags` and `past`.

    A display's first event counts. complete: share of ds' own events that had come when the logs
    ended, None without events. Kinds without an event are absent.
    """
    told = {}
    for kind, hours in windows.items():
        step = hours / STEPS
        rows = _counted(database, ds, _AT[kind], step)
        curve = lag_curve(rows, [step * (k + 1) for k in range(STEPS)])
        if curve.events:
            complete = completeness(curve, _ages(database, ds, step))
            points = zip(curve.ends, curve.shares, strict=True)
            told[kind] = {
                "window_hours": hours,
                "events": curve.events,
                "complete": None if complete != complete else round(complete, 6),
                "points": [{"hours": round(x, 6), "share": round(y, 6)} for x, y in points],
            }
    return told


def _counted(
    database: "duckdb.DuckDBPyConnection", ds: str, at: str, step: float
) -> list[dict[str, Any]]:
    """{lag, age, events} in hours, in the middle of bins of one step."""
    rows = database.execute(
        f"""
        SELECT floor((epoch({at}) - epoch(shown_at)) / 3600 / {step}) AS lag,
               least(floor({_age(ds)} / {step}), {STEPS}) AS age, count(*) AS events
        FROM (SELECT shown_at, {at} FROM bags UNION ALL SELECT shown_at, {at} FROM past)
        WHERE {at} IS NOT NULL GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    return [
        {"lag": step * (lag + 0.5), "age": step * (age + 0.5), "events": events}
        for lag, age, events in rows
    ]


def _ages(database: "duckdb.DuckDBPyConnection", ds: str, step: float) -> list[dict[str, Any]]:
    rows = database.execute(
        f"SELECT least(floor({_age(ds)} / {step}), {STEPS}) AS age, sum(impressions) "
        "FROM bags GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return [{"age": step * (age + 0.5), "displays": float(displays)} for age, displays in rows]


def _age(ds: str) -> str:
    """SQL of a display's age in hours when the logs of ds ended."""
    return f"((epoch(CAST({quote(ds)} AS DATE)) + 86400 - epoch(shown_at)) / 3600)"
