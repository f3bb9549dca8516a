"""What the data page shows of a day, gathered from the day's tables as plain values."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from components.day import Day, attempt_path, to_json
from components.manifests import BLOCKED, FIT, read_manifest
from components.validate_logs.history import day_entry, history
from components.window import Window
from validation.expectations import Check
from validation.pages.data import render_data
from validation.quarantine import DayFacts

if TYPE_CHECKING:
    import duckdb

SAMPLES = 5
RAW_SHOWN = 2000


def data_view(
    database: "duckdb.DuckDBPyConnection",
    day: Day,
    window: Window,
    facts: DayFacts,
    manifest: dict[str, Any],
    checks: list[Check],
    lost: list[dict[str, Any]],
) -> dict[str, Any]:
    """The fields of validation/pages/data.py, read off the day's tables."""
    return {
        "ds": day.ds,
        "verdict": manifest["verdict"],
        "reasons": manifest["reasons"],
        "attempt": manifest["attempt"],
        "rule_set": manifest["rule_set"],
        "read": facts.read,
        "fit": facts.fit,
        "unfit": manifest["tables"]["quarantine"][0]["rows"],
        "blamed": facts.refused_rows,
        "warnings": manifest["warnings"],
        "stands": _standing(day, manifest),
        "refused": dict(facts.refused),
        "set_aside": dict(facts.set_aside),
        "files": manifest["accounting"],
        "hours": _rows(database, _HOURS),
        "checks": [asdict(check) for check in checks],
        "quarantine": _samples(database),
        "quarantine_path": manifest["tables"]["quarantine"][0]["path"],
        "losses": lost,
        "policies": _rows(database, _POLICIES),
        "propensity": _rows(database, _PROPENSITY)[0],
        "maturity": _rows(database, _MATURITY)[0],
        "calendar": [*history(day.storage(), day.ds), day_entry(day.ds, manifest)],
        "missing": window.missing,
        "late": manifest.get("late"),
        "expectations": manifest["pages"]["expectations"],
        "place": f"{attempt_path(day.ds, manifest['attempt'])}/validate_logs",
    }


def write_page(day: Day, place: str, view: dict[str, Any]) -> str:
    """The page's path below the store; its view lies beside it, to be completed later."""
    storage = day.storage()
    storage.write(f"{place}/view.json", to_json(view))
    storage.write(f"{place}/data.html", render_data(view).encode())
    return f"{place}/data.html"


def complete_page(day: Day, attempt: str, features: dict[str, Any]) -> None:
    """The page of the day's attempt once more, with what is known of its features by now."""
    storage = day.storage()
    place = f"{attempt_path(day.ds, attempt)}/validate_logs"
    if storage.exists(f"{place}/view.json"):
        view = json.loads(storage.read(f"{place}/view.json")) | {"features": features}
        storage.write(f"{place}/data.html", render_data(view).encode())


def _standing(day: Day, manifest: dict[str, Any]) -> str | None:
    """The attempt of ds that was published as fit before, where this one is blocked."""
    was = read_manifest(day.storage(), day.ds)
    stands = was is not None and was["verdict"] == FIT and manifest["verdict"] == BLOCKED
    return was["attempt"] if was is not None and stands else None


def _rows(database: "duckdb.DuckDBPyConnection", query: str) -> list[dict[str, Any]]:
    found = database.execute(query)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


_HOURS = """
    SELECT hour(shown_at) AS hour,
           coalesce(sum(impressions) FILTER (NOT unfit), 0)::BIGINT AS impressions,
           coalesce(sum(greatest(impressions, 0)) FILTER (unfit), 0)::BIGINT AS unfit,
           coalesce(sum(clicks) FILTER (NOT unfit), 0)::BIGINT AS clicks
    FROM raw_bags WHERE in_day GROUP BY ALL ORDER BY ALL
"""
_POLICIES = """
    SELECT policy, sum(impressions)::BIGINT AS impressions, sum(clicks)::BIGINT AS clicks,
           sum(conversions)::BIGINT AS conversions, round(sum(value), 2) AS value
    FROM bags GROUP BY ALL ORDER BY impressions DESC, policy LIMIT 20
"""
_PROPENSITY = """
    SELECT count(*) FILTER (propensity IS NULL) AS unknown, min(propensity) AS lowest,
           median(propensity) AS median, max(propensity) AS highest FROM bags
"""
_MATURITY = """
    SELECT coalesce(avg(click_mature::INT), 0) AS clicks,
           coalesce(avg(conversion_mature::INT), 0) AS conversions FROM bags
"""


def _samples(database: "duckdb.DuckDBPyConnection") -> list[dict[str, Any]]:
    """For each rule: how many rows it refused and the first of them, as they came.

    Only the first rows of a rule are held in memory, however many it refused.
    """
    return _rows(
        database,
        f"""
        SELECT rule, count(*) AS rows, arg_min({{
            'file': source_file, 'row': row, 'message': left(message, 400),
            'raw': left(raw, {RAW_SHOWN}), 'length': coalesce(length(raw), 0)
        }}, (source_file, row), {SAMPLES}) AS samples
        FROM (SELECT source_file, row, raw, unnest(reasons, recursive := true) FROM quarantine)
        GROUP BY rule ORDER BY rows DESC, rule
        """,
    )
