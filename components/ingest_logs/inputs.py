"""Which files a day is made from, and the digest that says whether they changed."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from components.adapters.storage import Storage, Stored, digest_of, open_storage
from components.errors import Failed

KINDS = ("impressions", "clicks", "conversions", "aggregates")
_PARTITION = re.compile(r"/dt=(\d{4}-\d{2}-\d{2})/")


@dataclass(frozen=True)
class LogFile:
    """One file of the logs or the catalog: where it lies, its partition's day, its bytes' digest."""

    path: str
    kind: str
    dt: str
    size: int
    sha256: str
    location: str
    endpoint: str | None

    @property
    def local(self) -> Path:
        """The bytes that were digested, on this machine; Failed where others lie there now."""
        return _fetched(self)


@cache
def _fetched(file: LogFile) -> Path:
    storage = open_storage(file.location, file.endpoint)
    local = storage.fetch(file.path)
    if storage.tags_tell and digest_of(local) != file.sha256:
        raise Failed(
            f"{file.path} of {file.location} was replaced while this run read it (sha256 "
            f"{file.sha256[:12]} expected); nothing of the day was published: run again"
        )
    return local


def days_before(ds: str, count: int) -> list[str]:
    """The `count` days that end with ds, oldest first."""
    last = date.fromisoformat(ds)
    return [(last - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]


def shift(ds: str, days: int) -> str:
    return (date.fromisoformat(ds) + timedelta(days=days)).isoformat()


def find_files(
    storage: Storage,
    kinds: Iterable[str],
    first: str,
    last: str,
    digest: Callable[[Stored], str] | None = None,
    stray: list[str] | None = None,
) -> list[LogFile]:
    """Files of these kinds in the partitions first..last, by (kind, day, path).

    digest: an object's sha256; without it every object is fetched and digested. stray: gets the
    paths of files that lie in no partition of a day, which nobody reads.
    """
    told = digest or (lambda stored: digest_of(storage.fetch(stored.path)))
    found = []
    for kind in kinds:
        for stored in storage.listing(kind):
            dt = _day_of(stored.path)
            if dt is None and stray is not None:
                stray.append(stored.path)
            if dt is None or not first <= dt <= last:
                continue
            known = (stored.path, kind, dt, stored.size, told(stored))
            found.append(LogFile(*known, storage.root, storage.endpoint))
    return sorted(found, key=lambda file: (KINDS.index(kind_of(file)), file.dt, file.path))


def find_days(storage: Storage, kinds: Iterable[str]) -> list[str]:
    """Every day that has a file of one of these kinds, oldest first."""
    listed = (_day_of(stored.path) for kind in kinds for stored in storage.listing(kind))
    return sorted({dt for dt in listed if dt is not None})


def _day_of(path: str) -> str | None:
    """The day whose partition a file lies in; None where there is none, or no such day."""
    found = _PARTITION.search("/" + path)
    try:
        return None if found is None else date.fromisoformat(found[1]).isoformat()
    except ValueError:
        return None


def kind_of(file: LogFile) -> str:
    return file.kind if file.kind in KINDS else KINDS[0]


def digest(value: object) -> str:
    """First 16 hex digits of the sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
