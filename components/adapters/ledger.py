"""The one door to the ledger: an append-only chain of entries in object storage.

Entry n is the object ledger/<n>.json, created only if it does not exist yet, so of two writers
one wins and the other appends after it. Each entry carries the sha256 of the one before: change
or remove one and every later hash is wrong.
"""

import hashlib
import json
from datetime import datetime
from typing import Any

from components.adapters.storage import Storage
from components.errors import Conflict, Failed

FOLDER = "ledger"
GENESIS = "0" * 64
_TRIES = 20


class Ledger:
    """The decisions about one model's versions, oldest first."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._folder = f"{FOLDER}/{name}"

    def entries(self) -> list[dict[str, Any]]:
        """Every entry, its chain verified; Failed names the first that does not fit."""
        found, previous = [], GENESIS
        for number, stored in enumerate(self._storage.listing(self._folder), start=1):
            content = self._storage.read(stored.path)
            entry = self._parse(stored.path, content)
            if entry["previous"] != previous or entry["number"] != number:
                raise Failed(
                    f"{self._storage.locate(stored.path)} does not follow the entry before it: the "
                    "ledger was cut or changed; restore ledger/ from the bucket's versions before "
                    "any further promotion"
                )
            previous = hashlib.sha256(content).hexdigest()
            found.append(entry)
        return found

    def _parse(self, path: str, content: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(content)
            if {"number", "previous", "kind", "at"} <= set(entry):
                return entry
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError):
            pass
        raise Failed(
            f"{self._storage.locate(path)} is not a ledger entry; restore it from the bucket's "
            "versions before any further promotion"
        )

    def append(self, kind: str, at: datetime, **facts: Any) -> dict[str, Any]:
        """The entry, written after every entry that exists by now."""
        for _ in range(_TRIES):
            before = self.entries()
            previous = GENESIS
            if before:
                previous = hashlib.sha256(self._storage.read(self._path(len(before)))).hexdigest()
            number = len(before) + 1
            entry = {
                "number": number,
                "previous": previous,
                "kind": kind,
                "at": at.isoformat(),
                **facts,
            }
            line = (json.dumps(entry, sort_keys=True) + "\n").encode()
            try:
                self._storage.replace(self._path(number), line, None)
            except Conflict:
                continue
            return entry
        raise Conflict(f"{self._storage.locate(self._folder)} is being written by many at once")

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"
