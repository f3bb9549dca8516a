"""Logs and catalog of the window -> raw bags, day by day, each day exactly once.

A day is made again when its inputs changed, and only then: its attempt is named by the digest of
the files that it reads, the catalog, the rules, and how far its labels had matured. Raw bags
still hold unfit rows; validate_logs sets them aside.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from components.adapters.storage import open_storage
from components.day import Day, Frozen, attempt_path, to_json
from components.errors import Refused
from components.ingest_logs.attribution import Windows
from components.ingest_logs.catalog import Catalog, load_rules, read_catalog
from components.ingest_logs.inputs import KINDS, LogFile, days_before, digest, find_files, shift
from components.ingest_logs.joining import Joining, join
from components.ingest_logs.reading import Reading, read_files
from components.ingest_logs.release import Release, active_releases, supersede, waivers
from components.ingest_logs.typed import Shape
from components.ingest_logs.writing import write_day
from components.sql import open_database
from validation.contract import bag_rules, fingerprint

NAME = "ingest_logs"
VERSION = 3  # raise when the meaning of a raw bag changes: every day is then made again


class Settings(Frozen):
    """What ingest needs to know of a source."""

    logs: str
    catalog: str
    endpoint: str | None = None
    slots: tuple[str, ...]
    context: dict[str, Literal["categorical", "number"]]
    window_days: int
    click_hours: float
    conversion_days: float
    late_days: int
    user_limit: int
    memory: str
    threads: int | None = None
    identity: dict[str, Any]


class Result(Frozen):
    """The day's place with its attempt, and the attempts of every day in the window."""

    day: Day
    catalog: str
    made: dict[str, str]
    again: list[str]
    missing: list[str]
    unreadable: dict[str, str]


def run(day: Day, settings: Settings) -> Result:
    """Raw bags of every day in the window are in the store; names the attempts they are in."""
    logs = open_storage(settings.logs, settings.endpoint)
    storage = day.storage()
    window = days_before(day.ds, settings.window_days)
    reach = _reach(settings)
    files = find_files(logs, KINDS, shift(window[0], -reach), day.ds)
    catalog = read_catalog(
        open_storage(settings.catalog, settings.endpoint), day.ds, settings.slots
    )
    present = {file.dt for file in files if file.kind in ("impressions", "aggregates")}
    if day.ds not in present:
        raise Refused(_missing(day.ds, settings.logs, present))
    releases = active_releases(storage, files)
    made = {
        dt: _attempt(dt, files, catalog, settings, day.ds, releases)
        for dt in window
        if dt in present
    }
    again = [dt for dt in made if not storage.exists(_done(dt, made[dt]))]
    unreadable = _make(day, settings, files, catalog, made, again, releases) if again else {}
    place = _write_catalog(day, catalog)
    attempt = digest({"days": made, "ds": day.ds, "identity": settings.identity})
    result = Result(
        day=day.model_copy(update={"attempt": attempt}),
        catalog=place,
        made=made,
        again=again,
        missing=[dt for dt in window if dt not in present],
        unreadable=unreadable,
    )
    kept = result.model_dump(
        mode="json", exclude={"day": {"store", "endpoint", "work"}, "again": True}
    )
    storage.write(result.day.path(NAME, "result.json"), to_json(kept))
    return result


def _missing(ds: str, logs: str, present: set[str]) -> str:
    nearest = ", ".join(sorted(present)[-3:]) or "none at all"
    return (
        f"no impressions or aggregates for ds={ds} under {logs}/impressions/dt={ds}/ or "
        f"{logs}/aggregates/dt={ds}/ (latest days found: {nearest}); expected at least one file: "
        "wait for the ad server to deliver, or correct `logs`, then run the day again"
    )


def _reach(settings: Settings) -> int:
    """Days between an impression's partition and the last that may hold one of its events."""
    longest = max(settings.click_hours / 24, settings.conversion_days)
    return int(-(-longest // 1)) + settings.late_days


def _attempt(
    dt: str,
    files: list[LogFile],
    catalog: Catalog,
    settings: Settings,
    ds: str,
    releases: list[Release],
) -> str:
    reach = _reach(settings)
    first, last = shift(dt, -reach), min(ds, shift(dt, reach))
    near = [f for f in files if first <= f.dt <= last]
    read = [
        (f.path, f.sha256)
        for f in near
        if f.dt == dt or f.kind in ("impressions", "clicks", "conversions")
    ]
    rules = fingerprint(bag_rules(settings.user_limit))
    shape = settings.model_dump(
        exclude={"logs", "catalog", "endpoint", "memory", "threads", "identity"}
    )
    shape.pop("window_days")
    released = [(r.file, r.rows, r.waived) for r in releases if first <= r.ds <= last]
    parts = [VERSION, dt, last, read, catalog.digest_parts, rules, shape]
    return digest([*parts, released] if released else parts)


def _done(dt: str, attempt: str) -> str:
    return f"{attempt_path(dt, attempt)}/{NAME}/accounting.json"


def _make(
    day: Day,
    settings: Settings,
    files: list[LogFile],
    catalog: Catalog,
    made: Mapping[str, str],
    again: list[str],
    releases: list[Release],
) -> dict[str, str]:
    """Writes the raw bags of the days `again`; returns the sentences of unreadable files."""
    reach = _reach(settings)
    first, last = shift(again[0], -reach), shift(again[-1], reach)
    near = [file for file in files if first <= file.dt <= last]
    once, copies = _copies(near)
    shape = Shape(settings.context, settings.slots)
    with (
        day.scratch("ingest") as folder,
        open_database(folder, settings.memory, settings.threads) as database,
    ):
        reading = read_files(database, once, shape, folder)
        supersede(database, reading, releases, KINDS)
        joining = Joining(
            database=database,
            reading=reading,
            windows=Windows(
                settings.click_hours, settings.conversion_days, f"{shift(day.ds, 1)} 00:00:00"
            ),
            rules=bag_rules(settings.user_limit),
            waived=_numbered(reading, waivers(releases)),
            lists=load_rules(database, catalog, settings.slots),
        )
        join(joining)
        accounts = _accounts(joining, near, copies)
        for dt in again:
            _write_day(day, joining, dt, made[dt], accounts[dt], folder, settings.threads)
    return reading.unreadable


def _numbered(reading: Reading, waived: Mapping[str, tuple[str, ...]]) -> dict[str, list[int]]:
    numbers = {file.path: number for number, file in enumerate(reading.files)}
    return {rule: [numbers[f] for f in paths if f in numbers] for rule, paths in waived.items()}


def _copies(files: list[LogFile]) -> tuple[list[LogFile], dict[str, str]]:
    """Files to read, and those that repeat an earlier one byte for byte (path -> the earlier)."""
    first: dict[tuple[str, str], str] = {}
    copies: dict[str, str] = {}
    for file in files:
        if file.size == 0:
            continue
        original = first.setdefault((file.kind, file.sha256), file.path)
        if original != file.path:
            copies[file.path] = original
    return [file for file in files if file.path not in copies], copies


def _accounts(
    joining: Joining, files: list[LogFile], copies: Mapping[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """For every day, what was read of each file: rows, repeats, and why not, where it was not."""
    reading = joining.reading
    read = {reading.files[n].path: source.rows for n, source in reading.sources.items()}
    repeated = _by_path(joining, "SELECT file, count(*) FROM duplicates GROUP BY file")
    accounts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in files:
        original = copies.get(file.path)
        count = read.get(original or file.path, 0)
        entry: dict[str, Any] = {"file": file.path, "kind": file.kind, "sha256": file.sha256}
        entry |= {"read": count, "duplicate": count if original else repeated.get(file.path, 0)}
        if original:
            entry["copy_of"] = original
        if file.path in reading.unreadable:
            entry["unreadable"] = reading.unreadable[file.path]
        accounts[file.dt].append(entry)
    return accounts


def _by_path(joining: Joining, query: str) -> dict[str, int]:
    found = joining.database.execute(query).fetchall()
    return {joining.reading.files[number].path: count for number, count in found}


def _write_day(
    day: Day,
    joining: Joining,
    dt: str,
    attempt: str,
    accounts: list[dict[str, Any]],
    folder: Path,
    threads: int | None,
) -> None:
    storage = day.storage()
    place = f"{attempt_path(dt, attempt)}/{NAME}"
    tables = write_day(joining, dt, folder, threads)
    for files in tables.values():
        for local in files:
            storage.upload(local, f"{place}/{local.name}")
            local.unlink()
    names = {table: [file.name for file in files] for table, files in tables.items()}
    storage.write(f"{place}/tables.json", to_json(names))
    storage.write(f"{place}/accounting.json", to_json(accounts))


def _write_catalog(day: Day, catalog: Catalog) -> str:
    """The catalog as read goes with the day's attempt, so that later stages see the same one."""
    place = f"catalogs/{digest(catalog.digest_parts)}"
    storage = day.storage()
    if storage.exists(f"{place}/elements.parquet"):
        return place
    tables = {"known": catalog.known, "combinations": catalog.combinations}
    tables |= {"forbidden": catalog.forbidden, "elements": catalog.elements}
    with day.scratch("catalog") as folder:
        for name, table in tables.items():
            if table is not None:
                local = folder / f"{name}.parquet"
                pq.write_table(table, local, compression="zstd")
                storage.upload(local, f"{place}/{name}.parquet")
    return place
