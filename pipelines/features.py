"""`genco features`: the registry against the declarations, and online values against the tables.

The tables are those of a published day's run, fetched from the store into Feast's folder.
"""

import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.adapters.clock import now
from components.adapters.feature_store import SERVICE, FeatureDoor
from components.day import Day
from components.errors import Failed, WrongUse
from components.manifests import read_manifest
from components.materialize_features import online as serving
from components.materialize_features.parity import parity
from components.materialize_features.stage import (
    EVER,
    NAME,
    VIEWS,
    open_door,
    served_interval,
)
from components.plan import check_ds
from components.publish_policy.online import VIEW, Champion, push_policy
from pipelines.config import load_config
from pipelines.plan import features_settings
from pipelines.running import absolute, work_folder

FRESH, STALE, UNEQUAL, EMPTY = "fresh", "stale", "unequal", "empty"


@dataclass(frozen=True)
class Place:
    """A config's Feast, and the day that the command is about."""

    door: FeatureDoor
    day: Day


def plan(file: Path) -> dict[str, Any]:
    """What `apply` would change, and the reward model's service before and after."""
    door = _open(file).door
    return {"changes": [asdict(change) for change in door.plan()], **door.fingerprints()}


def apply(file: Path) -> dict[str, Any]:
    """What was changed; the registry is as declared."""
    door = _open(file).door
    told = {"changes": [asdict(change) for change in door.plan()]}
    was = door.fingerprints()["registered"]
    door.apply()
    return {**told, "registered": was, "declared": door.fingerprint(SERVICE)}


def materialize(
    file: Path,
    ds: str | None,
    first: str | None,
    last: str | None,
    views: list[str],
    chunk: int,
    watch: serving.Watch,
) -> dict[str, Any]:
    """Every view's online values of the days first..last, from the tables of ds' run."""
    strangers = sorted(set(views) - {*VIEWS, VIEW})
    if strangers:
        raise WrongUse(f"--view {', '.join(strangers)} is none of {', '.join((*VIEWS, VIEW))}")
    place = _fetched(_open(file), file, ds)
    until = check_ds(last) if last else place.day.ds
    since = check_ds(first) if first else EVER
    if since > until:
        raise WrongUse(f"--from {since} is after --to {until}; expected the older day first")
    place.door.apply()
    with place.day.scratch("materialize") as scratch:
        online = serving.Online(place.door, place.day.storage(), scratch, chunk)
        written = [
            serving.materialize(online, view, served_interval(view, since, until), watch)
            for view in (VIEWS if not views else [one for one in VIEWS if one in views])
        ]
    if VIEW in views:
        written.append(_push(place))
    return {
        "ds": place.day.ds,
        "from": since,
        "to": until,
        "online": place.door.online_place,
        "views": [asdict(one) for one in written],
    }


def _push(place: Place) -> serving.Written:
    """The champion's table of the day, once more to the online store."""
    storage = place.day.storage()
    manifest = read_manifest(storage, place.day.ds) or {}
    version = manifest.get("policy", {}).get("version")
    if version is None:
        raise Failed(f"ds={place.day.ds} has no champion's table to serve; promote a version first")
    table = manifest["tables"]["policy"][0]["path"]
    keys = push_policy(place.door, storage, Champion(table, place.day.ds, version), now())
    return serving.Written(VIEW, keys, keys, 1, 0, f"of version {version}")


def freshness(file: Path, ds: str | None, hours: float, at: datetime | None) -> dict[str, Any]:
    """Of every view: rows, newest times, age at `at`, and whether online equals offline.

    The age counts from the newest event; a view that never expires has no limit.
    """
    place = _fetched(_open(file), file, ds)
    place.door.apply()
    moment = at or now()
    rows = [_state(place, view, hours, moment) for view in VIEWS]
    states = {row["state"] for row in rows}
    return {
        "ds": place.day.ds,
        "at": moment.isoformat(),
        "limit_hours": hours,
        "online": place.door.online_place,
        "views": rows,
        "exit_code": 4 if UNEQUAL in states else 3 if {STALE, EMPTY} & states else 0,
    }


def _state(place: Place, view: str, hours: float, at: datetime) -> dict[str, Any]:
    import duckdb

    table = place.door.folder / f"{view}.parquet"
    with duckdb.connect() as database:
        found = database.execute(
            "SELECT count(*), epoch(max(event_timestamp)), epoch(max(created_timestamp)) "
            "FROM read_parquet(?)",
            [str(table)],
        ).fetchone()
    assert found is not None
    rows, event, created = found
    same = parity(place.door, view, table, served_interval(view, EVER, place.day.ds))
    age = None if event is None else (at.timestamp() - event) / 3600
    limited = bool(place.door.view(view).ttl)
    state = EMPTY if age is None else STALE if limited and age > hours else FRESH
    return {
        "view": view,
        "rows": rows,
        "newest_event": _moment(event),
        "newest_created": _moment(created),
        "age_hours": None if age is None else round(age, 2),
        "limit_hours": hours if limited else None,
        **asdict(same),
        "state": UNEQUAL if same.equal != same.sampled else state,
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _open(file: Path) -> Place:
    config = absolute(load_config(file))
    work = str(work_folder(config))
    day = Day(ds="", store=config.store, endpoint=config.endpoint_url, work=work)
    return Place(open_door(day, features_settings(config)), day)


def _fetched(place: Place, file: Path, ds: str | None) -> Place:
    """The place at a day whose run is published, its tables in Feast's folder."""
    storage = place.day.storage()
    chosen = check_ds(ds) if ds else _newest_run(place.day, file)
    run = (read_manifest(storage, chosen) or {}).get("run")
    if run is None:
        raise Failed(
            f"no run of ds={chosen} is published in {place.day.store}; expected a judged day: "
            f"genco run --ds {chosen} --config {file}"
        )
    day = place.day.model_copy(update={"ds": chosen, "attempt": run["attempt"]})
    for view in VIEWS:
        local = storage.fetch(day.path(NAME, f"{view}.parquet"))
        draft = place.door.folder / f".{view}.parquet"
        shutil.copyfile(local, draft)
        draft.replace(place.door.folder / f"{view}.parquet")
    return Place(place.door, day)


def _newest_run(day: Day, file: Path) -> str:
    storage = day.storage()
    days = sorted(
        (
            stored.path.rsplit("ds=", 1)[-1].removesuffix(".json")
            for stored in storage.listing("manifests")
            if stored.path.count("/") == 1
        ),
        reverse=True,
    )
    for ds in days:
        if "run" in (read_manifest(storage, ds) or {}):
            return ds
    raise Failed(
        f"no run of any day is published in {day.store}; run a day first: "
        f"genco run --ds D --config {file}"
    )


def words(told: dict[str, Any]) -> str:
    """The same for a person, a line an object or view."""
    if "changes" in told:
        return _plan_words(told)
    lines = _fresh_words(told) if "limit_hours" in told else _written_words(told)
    return "\n".join([*lines, f"online values: {told['online']}; tables of ds={told['ds']}"])


def _plan_words(told: dict[str, Any]) -> str:
    lines = []
    for one in told["changes"]:
        lines.append(f"{one['change']:<8} {one['kind']} {one['name']}")
        lines += [f"           {detail}" for detail in one["details"]]
    was, now_ = told["registered"], told["declared"]
    lines = lines or ["nothing to change: the registry is as declared"]
    return "\n".join([*lines, f"{SERVICE}: {was or 'not registered'} -> {now_}"])


def _written_words(told: dict[str, Any]) -> list[str]:
    return [
        f"{one['view']:<16} {one['written']:>10,} of {one['keys']:>10,} keys written, "
        f"{one['chunks']} chunks; {one['says']}"
        for one in told["views"]
    ]


def _fresh_words(told: dict[str, Any]) -> list[str]:
    return [
        f"{one['state']:<8} {one['view']:<16} {one['rows']:>10,} rows, newest event "
        f"{one['newest_event']}, created {one['newest_created']}, age {one['age_hours']} h "
        f"(limit {one['limit_hours'] or 'none'}); {one['equal']} of {one['sampled']} equal online"
        for one in told["views"]
    ]
