"""Rows released from the quarantine: a delivered file more, and which rows it stands for.

`releases/ds=D.json` in the store lists the releases of a day, replaced by conditional writes.
A release counts only while its file lies in the logs with the recorded digest; then the rows it
stands for are repeats of its rows, and a waived rule does not bind the rows of its file.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from components.adapters.storage import Storage
from components.day import to_json
from components.ingest_logs.inputs import LogFile
from components.ingest_logs.reading import Reading
from validation.contract import WAIVABLE

if TYPE_CHECKING:
    import duckdb

FOLDER = "releases"


@dataclass(frozen=True)
class Release:
    """One release: its file in the logs, and the rows (source file's sha256, row) it stands for."""

    ds: str
    file: str
    sha256: str
    rows: tuple[tuple[str, int], ...]
    waived: str | None
    by: str
    at: str
    reason: str
    identity: str = "configured"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def release_path(ds: str) -> str:
    return f"{FOLDER}/ds={ds}.json"


def read_releases(storage: Storage, ds: str) -> list[Release]:
    """Every recorded release of a day, oldest first."""
    path = release_path(ds)
    return _parse(storage.read(path)) if storage.exists(path) else []


def add_release(storage: Storage, release: Release) -> None:
    """The day's record ends with this release; Conflict where another was recorded meanwhile."""
    path = release_path(release.ds)
    was = storage.read(path) if storage.exists(path) else None
    known = [] if was is None else _parse(was)
    storage.replace(path, to_json([one.to_dict() for one in (*known, release)]), was)


def _parse(content: bytes) -> list[Release]:
    return [
        Release(**{**one, "rows": tuple((sha256, row) for sha256, row in one["rows"])})
        for one in json.loads(content)
    ]


def active_releases(storage: Storage, files: Iterable[LogFile]) -> list[Release]:
    """The releases whose file lies in the logs as it was recorded, in order of day."""
    found = {(file.path, file.sha256) for file in files}
    days = sorted(
        stored.path.rsplit("ds=", 1)[-1].removesuffix(".json") for stored in storage.listing(FOLDER)
    )
    listed = [release for ds in days for release in read_releases(storage, ds)]
    return [release for release in listed if (release.file, release.sha256) in found]


def supersede(
    database: "duckdb.DuckDBPyConnection",
    reading: Reading,
    releases: list[Release],
    kinds: Iterable[str],
) -> None:
    """Table `superseded` holds the released rows, which are not read from now on."""
    places: dict[str, list[int]] = {}
    for number, file in enumerate(reading.files):
        places.setdefault(file.sha256, []).append(number)
    gone = sorted(
        {
            (number, row)
            for release in releases
            for sha256, row in release.rows
            for number in places.get(sha256, [])
        }
    )
    database.execute("CREATE TABLE released (file INTEGER, row BIGINT)")
    database.execute("CREATE TABLE superseded (file INTEGER, row BIGINT, dt VARCHAR)")
    if not gone:
        return
    files, rows = [number for number, _ in gone], [row for _, row in gone]
    database.execute("INSERT INTO released SELECT unnest(?), unnest(?)", [files, rows])
    for kind in kinds:
        database.execute(
            f"INSERT INTO superseded SELECT file, row, dt FROM {reading.rows(kind)} "
            "SEMI JOIN released USING (file, row)"
        )
    reading.released = True


def waivers(releases: Iterable[Release]) -> dict[str, tuple[str, ...]]:
    """Rule -> the released files whose rows it does not bind."""
    found: dict[str, set[str]] = {}
    for release in releases:
        if release.waived in WAIVABLE:
            found.setdefault(release.waived, set()).add(release.file)
    return {rule: tuple(sorted(files)) for rule, files in sorted(found.items())}
