"""Which files a day is made from, and the digest that says whether they changed."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from components.adapters.storage import Storage, digest_of

KINDS = ("impressions", "clicks", "conversions", "aggregates")
_PARTITION = re.compile(r"/dt=(\d{4}-\d{2}-\d{2})/")


@dataclass(frozen=True)
class LogFile:
    """One file of the logs or the catalog: where it lies, its partition's day, its bytes' digest."""

    path: str
    kind: str
    dt: str
    size: int
    local: Path
    sha256: str


def days_before(ds: str, count: int) -> list[str]:
    """The `count` days that end with ds, oldest first."""
    last = date.fromisoformat(ds)
    return [(last - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]


def shift(ds: str, days: int) -> str:
    return (date.fromisoformat(ds) + timedelta(days=days)).isoformat()


def find_files(storage: Storage, kinds: Iterable[str], first: str, last: str) -> list[LogFile]:
    """Files of these kinds in the partitions first..last, by (kind, day, path)."""
    found = []
    for kind in kinds:
        for stored in storage.listing(kind):
            partition = _PARTITION.search("/" + stored.path)
            if partition is None or not first <= partition[1] <= last:
                continue
            local = storage.fetch(stored.path)
            found.append(
                LogFile(stored.path, kind, partition[1], stored.size, local, digest_of(local))
            )
    return sorted(found, key=lambda file: (KINDS.index(kind_of(file)), file.dt, file.path))


def kind_of(file: LogFile) -> str:
    return file.kind if file.kind in KINDS else KINDS[0]


def digest(value: object) -> str:
    """First 16 hex digits of the sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
