"""Raw bags -> fit bags, quarantine, the day's manifest and page: is this day usable?

Every day that ingest made again is judged; each is published by one conditional write of its
manifest. A day that is not fit never replaces a published one that is.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.day import Day, Frozen, attempt_path, judged_path, manifest_path, to_json
from components.ingest_logs.stage import NAME as INGEST
from components.manifests import (
    BLOCKED,
    FIT,
    change_manifest,
    fetch_table,
    read_judged,
    read_manifest,
)
from components.sql import open_database, parquet
from components.validate_logs.accounting import account, day_facts, losses
from components.validate_logs.beyond import EARLIER_DAYS, findings_of
from components.validate_logs.page import data_view
from components.validate_logs.splitting import ingested, publish_split, split_day
from components.window import Window, fit_days, read_window
from validation.contract import Rule, bag_rules, check_rules, fingerprint
from validation.expectations import BagSuite, Check
from validation.pages.data import render_data
from validation.quarantine import Limits, blocking_reasons
from validation.sanity.limits import Unusual

if TYPE_CHECKING:
    import duckdb

NAME = "validate_logs"
BATCH_ROWS = 1_000_000


class Settings(Frozen):
    """How much of a day may be unfit, the traffic limit, and what the manifest records."""

    quarantined_share: float
    user_limit: int
    config_digest: str
    unusual: Unusual = Unusual()
    memory: str = "2GB"


class Result(Frozen):
    """Whether ds is fit, why not, and where its page and manifest lie below the store."""

    fit: bool
    reasons: list[str]
    data_page: str
    manifest: str
    rows: int
    unfit: int


def run(day: Day, settings: Settings) -> Result:
    """Every day of the window is judged and published; the result speaks of ds."""
    window = read_window(day)
    rules = bag_rules(settings.user_limit)
    waiting = [dt for dt, attempt in window.made.items() if not _settled(day, dt, attempt)]
    _publish_settled(day, {dt: a for dt, a in window.made.items() if dt not in waiting})
    checks = _expectations(day, window, rules, waiting, settings)
    for dt in waiting:
        if dt != day.ds:
            _judge(day, dt, window, rules, settings, checks[dt])
    if day.ds in waiting:
        _judge(day, day.ds, window, rules, settings, checks[day.ds])
    return _result(day, window)


def _own_manifest(dt: str, attempt: str) -> str:
    return f"{attempt_path(dt, attempt)}/{NAME}/manifest.json"


def _settled(day: Day, dt: str, attempt: str) -> bool:
    return day.storage().exists(_own_manifest(dt, attempt))


def _publish_settled(day: Day, settled: dict[str, str]) -> None:
    """Days judged before are what is published, also where another attempt came in between."""
    storage = day.storage()
    for dt, attempt in settled.items():
        judged = read_judged(storage, dt)
        if judged is None or judged["attempt"] != attempt:
            _publish(day, dt, json.loads(storage.read(_own_manifest(dt, attempt))))


def _expectations(
    day: Day, window: Window, rules: tuple[Rule, ...], waiting: list[str], settings: Settings
) -> dict[str, list[Check]]:
    """Great Expectations over all rows: ds on its own, the other days of the window together.

    Counts are exact, being sums over whole batches of at most a million rows.
    """
    if not waiting:
        return {}
    suite = BagSuite(rules, mostly=1 - settings.quarantined_share)
    others = [dt for dt in waiting if dt != day.ds]
    found: dict[str, list[Check]] = {}
    for group in ([day.ds] if day.ds in waiting else [], others):
        if group:
            checks = _check(
                suite,
                [f for dt in group for f in ingested(day, dt, window.made[dt], "checked")],
                group,
            )
            found |= dict.fromkeys(group, checks)
    return found


def _check(suite: BagSuite, files: list[Path], group: list[str]) -> list[Check]:
    import duckdb

    database = duckdb.connect()
    columns = {rule.column for rule in suite.rules} | {r.other for r in suite.rules if r.other}
    available = {
        row[0] for row in database.execute(f"DESCRIBE SELECT * FROM {parquet(files)}").fetchall()
    }
    check_rules(suite.rules, available)
    chosen = ", ".join(f'"{column}"' for column in sorted(columns))
    rows = database.execute(f"SELECT {chosen} FROM {parquet(files)}")
    reader = rows.to_arrow_reader(BATCH_ROWS)
    batches = [suite.check(batch.to_pandas(), f"{group[0]}..{group[-1]}") for batch in reader]
    return suite.merge(batches) if batches else []


def _judge(
    day: Day,
    dt: str,
    window: Window,
    rules: tuple[Rule, ...],
    settings: Settings,
    checks: list[Check],
) -> None:
    attempt = window.made[dt]
    storage = day.storage()
    place = f"{attempt_path(dt, attempt)}/{NAME}"
    accounts = json.loads(storage.read(f"{attempt_path(dt, attempt)}/{INGEST}/accounting.json"))
    with day.scratch("validate") as folder, open_database(folder, settings.memory) as database:
        split_day(database, day, dt, attempt, rules)
        accounting = account(database, accounts)
        tables = publish_split(database, day, dt, attempt, place, folder)
        facts = day_facts(database, dt, accounts, rules)
        reasons = blocking_reasons(facts, Limits(settings.quarantined_share))
        manifest = {
            "ds": dt,
            "attempt": attempt,
            "verdict": BLOCKED if reasons else FIT,
            "reasons": reasons,
            "tables": tables,
            "accounting": accounting,
            "inputs": [{"file": a["file"], "sha256": a["sha256"]} for a in accounts],
            "config_digest": settings.config_digest,
            "rule_set": fingerprint(rules),
            "refused": facts.refused_rows,
            "pages": {},
        }
        if dt == day.ds:
            lost, limit = losses(database), settings.quarantined_share
            beyond = _beyond(database, day, window, settings)
            manifest |= {"losses": lost, "findings": beyond["findings"]}
            view = data_view(database, day, window, facts, manifest, checks, lost, limit=limit)
            view |= beyond
            storage.write(f"{place}/data.html", render_data(view).encode())
            manifest["pages"] = {"data": f"{place}/data.html"}
    _publish(day, dt, manifest)
    storage.write(_own_manifest(dt, attempt), to_json(manifest))


def _beyond(
    database: "duckdb.DuckDBPyConnection", day: Day, window: Window, settings: Settings
) -> dict[str, Any]:
    """Findings beyond the rows of ds; they warn, whatever they find."""
    storage = day.storage()
    before = {dt: manifest for dt, manifest in fit_days(day, window).items() if dt < day.ds}
    recent = sorted(before)[-EARLIER_DAYS:]
    files = {dt: fetch_table(storage, before[dt], "bags") for dt in recent}
    volumes = {dt: sum(e["rows"] for e in m["tables"]["bags"]) for dt, m in before.items()}
    return findings_of(database, day.ds, files, volumes, settings.unusual)


def _publish(day: Day, dt: str, manifest: dict[str, Any]) -> None:
    """One conditional write; a blocked day leaves a fit one that is published as it is.

    The attempt that was judged last is kept beside it, for whoever asks what was wrong.
    """

    def change(was: dict[str, Any] | None) -> dict[str, Any]:
        if was is None:
            return manifest
        if manifest["verdict"] == BLOCKED and was["verdict"] == FIT:
            return was
        later = {key: was[key] for key in ("run", "policy") if key in was}
        tables = {k: v for k, v in was["tables"].items() if k not in manifest["tables"]}
        return {**manifest, **later, "tables": {**manifest["tables"], **tables}}

    change_manifest(day.storage(), dt, change)
    day.storage().write(judged_path(dt), to_json(manifest))


def _result(day: Day, window: Window) -> Result:
    attempt = window.made[day.ds]
    place = _own_manifest(day.ds, attempt)
    storage = day.storage()
    manifest = json.loads(storage.read(place))
    published = read_manifest(storage, day.ds)
    current = published is not None and published["attempt"] == attempt
    return Result(
        fit=manifest["verdict"] == FIT,
        reasons=manifest["reasons"],
        data_page=manifest["pages"]["data"],
        manifest=manifest_path(day.ds) if current else place,
        rows=sum(entry["rows"] for entry in manifest["tables"]["bags"]),
        unfit=manifest["tables"]["quarantine"][0]["rows"],
    )
