"""Logs and catalog of the window -> raw bags, day by day, each day exactly once.

A day is made again when its inputs changed, and only then: its attempt is named by the digest of
the files that it reads, the catalog, the rules, and how far its labels had matured. Raw bags
still hold unfit rows; validate_logs sets them aside.
"""

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow.parquet as pq

from components.adapters.storage import Storage, open_storage
from components.day import Day, Frozen, attempt_path, to_json
from components.errors import Refused
from components.ingest_logs.attribution import Windows
from components.ingest_logs.catalog import Catalog, read_catalog
from components.ingest_logs.digests import Digests
from components.ingest_logs.inputs import (
    KINDS,
    LogFile,
    days_before,
    digest,
    find_days,
    find_files,
    shift,
)
from components.ingest_logs.making import (
    Counts,
    Engine,
    Making,
    Tables,
    accounts_of,
    make,
    make_on_duckdb,
)
from components.ingest_logs.release import Release, active_releases
from components.ingest_logs.schema import schema_of
from components.ingest_logs.typed import Shape
from components.start import Beginning, champion_start, write_start
from validation.contract import Rule, bag_rules, fingerprint
from validation.rulings import Ruling, ruled

NAME = "ingest_logs"
_DISPLAYS = ("impressions", "aggregates")
VERSION = 5  # raise when the meaning of a raw bag changes: every day is then made again


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
    rules: dict[str, Ruling] = {}
    test_traffic: dict[str, tuple[str, ...]] = {}
    engine: Literal["duckdb", "spark"] = "duckdb"
    memory: str
    threads: int | None = None
    identity: dict[str, Any]
    start: Beginning | None = None  # whose champion the reward model begins from


class Result(Frozen):
    """The day's place with its attempt, and the attempts of every day in the window.

    stray: files of the logs that lie in no day's folder and were not read.
    """

    day: Day
    catalog: str
    made: dict[str, str]
    again: list[str]
    missing: list[str]
    unreadable: dict[str, str]
    stray: list[str] = []


def run(day: Day, settings: Settings) -> Result:
    """Raw bags of every day in the window are in the store; names the attempts they are in."""
    logs = open_storage(settings.logs, settings.endpoint)
    storage = day.storage()
    window = days_before(day.ds, settings.window_days)
    reach = _reach(settings)
    digests = Digests(logs, storage)
    stray: list[str] = []
    files = find_files(logs, KINDS, shift(window[0], -reach), day.ds, digests.of, stray)
    digests.keep()
    present = {file.dt for file in files if file.kind in _DISPLAYS}
    if day.ds not in present:
        raise Refused(_missing(day.ds, settings, logs))
    catalog = read_catalog(
        open_storage(settings.catalog, settings.endpoint), day.ds, settings.slots
    )
    releases = active_releases(storage, files)
    made = {
        dt: _attempt(dt, files, catalog, settings, day.ds, releases)
        for dt in window
        if dt in present
    }
    again = [dt for dt in made if not storage.exists(_done(dt, made[dt]))]
    unreadable = _make(day, settings, files, catalog, made, again, releases) if again else {}
    place = _write_catalog(day, catalog)
    start = champion_start(day, settings.start)
    parts = {"days": made, "ds": day.ds, "identity": settings.identity}
    attempt = digest(parts if start is None else parts | {"start": start.manifest})
    result = Result(
        day=day.model_copy(update={"attempt": attempt}),
        catalog=place,
        made=made,
        again=again,
        missing=[dt for dt in window if dt not in present],
        unreadable=unreadable,
        stray=stray,
    )
    kept = result.model_dump(
        mode="json", exclude={"day": {"store", "endpoint", "work"}, "again": True}
    )
    if start is not None:
        write_start(result.day, start)
    storage.write(result.day.path(NAME, "result.json"), to_json(kept))
    return result


def _missing(ds: str, settings: Settings, logs: Storage) -> str:
    places = " or ".join(f"{settings.logs}/{kind}/dt={ds}/" for kind in _DISPLAYS)
    return (
        f"no impressions or aggregates for ds={ds} under {places} ({_nearest(ds, logs)}); expected "
        "at least one file: wait for the ad server to deliver, or correct `logs`, then run the day "
        "again"
    )


def _nearest(ds: str, logs: Storage) -> str:
    """Which days of displays the source really has around ds, however far away."""
    days = find_days(logs, _DISPLAYS)
    before, after = [dt for dt in days if dt < ds], [dt for dt in days if dt > ds]
    if not days:
        return "no dt=YYYY-MM-DD folder with a file lies there at all"
    told = [f"latest days before it: {', '.join(before[-3:])}"] if before else []
    return "; ".join(told + ([f"next day after it: {after[0]}"] if after else []))


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
    rules = fingerprint(_rules(settings))
    shape = settings.model_dump(
        exclude={"logs", "catalog", "endpoint", "memory", "threads", "identity", "rules", "start"}
    )
    shape.pop("window_days")
    released = [(r.file, r.rows, r.waived) for r in releases if first <= r.ds <= last]
    parts = [VERSION, dt, last, read, catalog.digest_parts, rules, shape]
    return digest([*parts, released] if released else parts)


def _rules(settings: Settings) -> tuple[Rule, ...]:
    return ruled(bag_rules(settings.user_limit), settings.rules)


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
    """Writes the bags of the days `again`; returns the sentences of unreadable files."""
    reach = _reach(settings)
    first, last = shift(again[0], -reach), shift(again[-1], reach)
    near = [file for file in files if first <= file.dt <= last]
    once, copies = _copies(near)
    making = Making(
        day=day,
        files=once,
        catalog=catalog,
        releases=releases,
        shape=Shape(settings.context, settings.slots),
        windows=Windows(
            settings.click_hours, settings.conversion_days, f"{shift(day.ds, 1)} 00:00:00"
        ),
        rules=_rules(settings),
        test_traffic=settings.test_traffic,
        made=made,
        again=again,
        memory=settings.memory,
        threads=settings.threads,
    )

    def finish(dt: str, tables: Tables, counts: Counts) -> None:
        storage = day.storage()
        storage.write(f"{making.place(dt)}/tables.json", to_json(tables))
        own = [f for f in once if f.dt == dt and f.path not in counts.unreadable]
        storage.write(f"{making.place(dt)}/schema.json", to_json(schema_of(own)))
        accounts = accounts_of(near, copies, counts)[dt]
        storage.write(f"{making.place(dt)}/accounting.json", to_json(accounts))

    return make(_engine(settings.engine), making, finish).unreadable


def _engine(name: str) -> Engine:
    if name == "spark":
        from components.ingest_logs.on_spark import make_on_spark

        return make_on_spark
    return make_on_duckdb


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
