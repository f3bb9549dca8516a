"""Which version served when, and what the aliases should be, as the ledger tells it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

CROWNED = ("promoted", "rolled back")
Entry = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """Alias -> version by the ledger; `entry` is the number of the one that says so."""

    champion: int | None = None
    previous: int | None = None
    entry: int | None = None


def expected_aliases(entries: Sequence[Entry]) -> Expected:
    """What promotions and rollbacks made of champion and previous, by the entries' order."""
    told = Expected()
    for entry in entries:
        if entry["kind"] not in CROWNED:
            continue
        before = entry.get("before")
        previous = before if before not in (None, entry["version"]) else told.previous
        told = Expected(entry["version"], previous, entry["number"])
    return told


def serving_at(entries: Sequence[Entry], at: datetime) -> Entry | None:
    """The entry that made champion whoever served at that time, None before the first.

    Numbers are the order: where the clock went backwards an entry counts from the latest time
    seen before it.
    """
    found, latest = None, None
    for entry in entries:
        told = datetime.fromisoformat(entry["at"])
        latest = told if latest is None else max(latest, told)
        if latest <= at and entry["kind"] in CROWNED:
            found = entry
    return found


def backwards(entries: Sequence[Entry]) -> list[int]:
    """Numbers of the entries whose time is earlier than that of the one before."""
    pairs = itertools.pairwise(entries)
    return [
        later["number"]
        for earlier, later in pairs
        if datetime.fromisoformat(later["at"]) < datetime.fromisoformat(earlier["at"])
    ]
