"""One day's raw bags -> its tables, its page, and the manifest that says whether it is fit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from components.day import Day, attempt_path, to_json
from components.ingest_logs.stage import NAME as INGEST
from components.manifests import BLOCKED, FIT, fetch_table, read_judged
from components.sql import open_database
from components.validate_logs.accounting import account, day_facts, hours_of, losses
from components.validate_logs.beyond import EARLIER_DAYS, findings_of
from components.validate_logs.expecting import expectations_of
from components.validate_logs.page import data_view, write_page
from components.validate_logs.propensities import legal_counts
from components.validate_logs.splitting import ingested, publish_split, split_day
from components.window import Window, catalog_file, fit_days
from validation.contract import Rule, fingerprint
from validation.expectations import BagSuite, Validated
from validation.pages.alerts import alerts
from validation.pages.data_docs import offline
from validation.quarantine import DayFacts, Limits, blocking_reasons, warnings
from validation.rulings import Ruling, blameless_rules
from validation.sanity import findings as f
from validation.sanity.limits import Unusual
from validation.sanity.schema import schema_changes
from validation.sanity.volume import same_weekdays, volume_band

if TYPE_CHECKING:
    import duckdb

STAGE = "validate_logs"


@dataclass(frozen=True)
class Standards:
    """What a day is held to: rules as ruled, shares, bounds of the unusual, windows in hours."""

    rules: tuple[Rule, ...]
    rulings: Mapping[str, Ruling]
    limits: Limits
    unusual: Unusual
    windows: Mapping[str, float]
    config_digest: str
    held_to: str
    memory: str


def judge_day(
    day: Day, dt: str, window: Window, standards: Standards, suite: BagSuite
) -> dict[str, Any]:
    """The manifest of the day's attempt; its tables and pages are in the store."""
    attempt = window.made[dt]
    storage = day.storage()
    place = f"{attempt_path(dt, attempt)}/{STAGE}"
    accounts = json.loads(storage.read(f"{attempt_path(dt, attempt)}/{INGEST}/accounting.json"))
    checked = ingested(day, dt, attempt, "checked")
    found = expectations_of(suite, checked, f"ds={dt} attempt={attempt}")
    storage.write(f"{place}/expectations.json", to_json(found.to_json()))
    storage.write(f"{place}/expectations.html", offline(found.to_page()).encode())
    with day.scratch("validate") as folder, open_database(folder, standards.memory) as database:
        split_day(database, day, dt, attempt, standards.rules)
        accounting = account(database, accounts)
        tables = publish_split(database, day, dt, attempt, place, folder)
        blameless = blameless_rules(standards.rules, standards.rulings)
        facts = day_facts(database, dt, accounts, standards.rules, blameless)
        manifest = _manifest(dt, attempt, facts, standards, tables, accounting)
        manifest |= {"hours": hours_of(database), "schema": _schema(day, dt, attempt)}
        manifest |= _late(day, dt, attempt, manifest)
        manifest["pages"] = {"expectations": f"{place}/expectations.html"}
        if dt == day.ds:
            _tell(database, day, window, facts, manifest, found, standards)
    return manifest


def _manifest(
    dt: str,
    attempt: str,
    facts: DayFacts,
    standards: Standards,
    tables: dict[str, Any],
    accounting: list[dict[str, Any]],
) -> dict[str, Any]:
    reasons = blocking_reasons(facts, standards.limits)
    return {
        "ds": dt,
        "attempt": attempt,
        "verdict": BLOCKED if reasons else FIT,
        "reasons": reasons,
        "warnings": warnings(facts, standards.limits),
        "tables": tables,
        "accounting": accounting,
        "inputs": [{"file": a["file"], "sha256": a["sha256"]} for a in accounting],
        "config_digest": standards.config_digest,
        "rule_set": fingerprint(standards.rules),
        "held_to": standards.held_to,
        "refused": facts.refused_rows,
        "failed": facts.failed,
    }


def _tell(
    database: "duckdb.DuckDBPyConnection",
    day: Day,
    window: Window,
    facts: DayFacts,
    manifest: dict[str, Any],
    found: Validated,
    standards: Standards,
) -> None:
    """Adds to the manifest of ds what only its own run looks for, and writes its page."""
    lost = losses(database)
    before = {dt: one for dt, one in fit_days(day, window).items() if dt < day.ds}
    beyond = _beyond(database, day, window, before, manifest, standards)
    sizes = {dt: sum(e["rows"] for e in one["tables"]["bags"]) for dt, one in before.items()}
    band = volume_band(same_weekdays(day.ds, sizes), standards.unusual)
    manifest |= {"losses": lost, "findings": beyond["findings"], "lags": beyond["lags"]}
    manifest["volume"] = None if band is None else {"low": band.low, "high": band.high}
    unusual = [one["says"] for one in beyond["findings"] if one["outcome"] == "warn"]
    manifest["warnings"] = [*manifest["warnings"], *_stray(window), *unusual]
    view = data_view(database, day, window, facts, manifest, found.checks, lost)
    view |= {
        "findings": beyond["findings"],
        "drift": beyond["drift"],
        "lags": beyond["lags"],
        "limit": standards.limits.quarantined_share,
        "prints": {rule.id: fingerprint((rule,))[:8] for rule in standards.rules},
        "bands": _hour_bands(view["calendar"], day.ds, standards.unusual),
    }
    place = f"{attempt_path(day.ds, manifest['attempt'])}/{STAGE}"
    manifest["pages"]["data"] = write_page(day, place, view)
    manifest["told"] = {
        "attempt": manifest["attempt"],
        "verdict": manifest["verdict"],
        "pages": manifest["pages"],
        "alerts": [one.name for one in alerts(view)],
    }


def _stray(window: Window) -> list[str]:
    """The warning of files that lie in no day's folder, if there are any."""
    count, first = len(window.stray), ", ".join(window.stray[:3])
    if not count:
        return []
    return [
        f"{count:,} files of the logs lie in no dt=YYYY-MM-DD folder and are read by nobody: "
        f"{first}{', ...' if count > 3 else ''}; move them to their day, or away"
    ]


def _hour_bands(
    calendar: list[dict[str, Any]], ds: str, unusual: Unusual
) -> list[tuple[float, float] | None]:
    """Displays usual in each hour, of the earlier fit same weekdays; None: too few of them."""
    told = {one["ds"]: one["hours"] for one in calendar if one["hours"] and one["verdict"] == FIT}
    bands = []
    for hour in range(24):
        sizes = {dt: hours[hour] for dt, hours in told.items()}
        band = volume_band(same_weekdays(ds, sizes), unusual)
        bands.append(None if band is None else (round(band.low, 1), round(band.high, 1)))
    return bands


def _beyond(
    database: "duckdb.DuckDBPyConnection",
    day: Day,
    window: Window,
    before: dict[str, dict[str, Any]],
    manifest: dict[str, Any],
    standards: Standards,
) -> dict[str, Any]:
    """Findings beyond the rows of ds; they warn, whatever they find."""
    recent = sorted(before)[-EARLIER_DAYS:]
    files = {dt: fetch_table(day.storage(), before[dt], "bags") for dt in recent}
    volumes = {dt: sum(e["rows"] for e in m["tables"]["bags"]) for dt, m in before.items()}
    ends = {dt: _end(m["hours"]) for dt, m in before.items() if any(m.get("hours", ()))}
    told_of = (files, volumes, standards.unusual, standards.windows, ends)
    found = findings_of(database, day.ds, *told_of, _legal(database, day, window))
    known = [dt for dt in sorted(before) if before[dt].get("schema")]
    changes = None
    if known:
        changes = schema_changes(before[known[-1]]["schema"], manifest["schema"], known[-1])
    told = [asdict(one) for one in f.schema(changes, known[-1] if known else None)]
    return {**found, "findings": [*told, *found["findings"]]}


def _end(hours: list[int]) -> float:
    """Hours into a day at which its last hour with displays ends."""
    return 1.0 + max(hour for hour, count in enumerate(hours) if count)


def _legal(database: "duckdb.DuckDBPyConnection", day: Day, window: Window) -> dict[str, int]:
    """How many combinations there are for a product, where the catalog tells."""
    elements = catalog_file(day, window, "elements")
    if elements is None or catalog_file(day, window, "forbidden") is not None:
        return {}
    return legal_counts(database, elements, catalog_file(day, window, "combinations"))


def _schema(day: Day, dt: str, attempt: str) -> dict[str, Any]:
    return json.loads(day.storage().read(f"{attempt_path(dt, attempt)}/{INGEST}/schema.json"))


def _late(day: Day, dt: str, attempt: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """{late: {since, files}}: files of the day that came after another attempt was judged."""
    judged = read_judged(day.storage(), dt)
    if judged is None or judged["attempt"] == attempt:
        return {"late": judged["late"]} if judged and "late" in judged else {}
    known = {(one["file"], one["sha256"]) for one in judged["inputs"]}
    files = [a["file"] for a in manifest["accounting"] if (a["file"], a["sha256"]) not in known]
    return {"late": {"since": judged["attempt"], "files": files}} if files else {}
