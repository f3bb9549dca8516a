"""The one door to the ledger: an append-only chain of entries in object storage.

Entry n is the object ledger/<name>/<n>.json, created only if it does not exist yet, so of two
writers one wins and the other appends after it. Each entry carries the sha256 of the one before:
change or remove one and every later hash is wrong. heads/<name>.json holds the count and the hash
of the last one, and is replaced conditionally after every append, so that entries cut off at the
end are missed too. A writer that died between the two leaves a head that lags; the next append
brings it forward.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.adapters.storage import Storage
from components.errors import Conflict, Failed

FOLDER = "ledger"
HEADS = "heads"
GENESIS = "0" * 64
EARLIER = "earlier_than"
_TRIES = 50
Guard = Callable[[list[dict[str, Any]]], None]
_RESTORE = "from the bucket's versions before any further promotion"


@dataclass(frozen=True)
class Head:
    """How many entries there are, and the sha256 of the last."""

    count: int = 0
    last: str = GENESIS

    def content(self) -> bytes:
        return _line({"count": self.count, "last": self.last})


class Ledger:
    """The decisions about one model's versions, oldest first."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._folder = f"{FOLDER}/{name}"
        self._head = f"{HEADS}/{name}.json"

    def entries(self) -> list[dict[str, Any]]:
        """Every entry, chain and head verified; Failed names the first that does not fit."""
        return self._read()[0]

    def lag(self) -> int:
        """Entries that the head does not hold yet: more than 0 after a writer died."""
        head = self.head()
        return len(self.entries()) - (head.count if head is not None else 0)

    def head(self) -> Head | None:
        """The head as stored, None before the first entry."""
        if not self._storage.exists(self._head):
            return None
        content = self._storage.read(self._head)
        try:
            head = Head(**json.loads(content))
            if head.content() == content:
                return head
        except (ValueError, TypeError):
            pass
        raise Failed(
            f"{self._storage.locate(self._head)} is not a ledger's head as it was written: restore "
            f"it {_RESTORE}"
        )

    def _read(self) -> tuple[list[dict[str, Any]], list[str]]:
        head = self.head()  # before the listing: an entry that follows meanwhile is no fault
        found: list[dict[str, Any]] = []
        digests = [GENESIS]
        for number, stored in enumerate(self._storage.listing(self._folder), start=1):
            content = self._storage.read(stored.path)
            entry = self._parse(stored.path, content)
            expected = (self._path(number), digests[-1], number)
            if (stored.path, entry["previous"], entry["number"]) != expected:
                raise Failed(
                    f"{self._storage.locate(stored.path)} does not follow the entry before it: the "
                    f"ledger was cut or changed; restore {FOLDER}/ {_RESTORE}"
                )
            digests.append(hashlib.sha256(content).hexdigest())
            found.append(entry)
        self._compare(head, digests)
        return found, digests

    def _compare(self, head: Head | None, digests: list[str]) -> None:
        count = len(digests) - 1
        where = self._storage.locate(self._head)
        if head is None:
            if count:
                raise Failed(
                    f"{where} is missing beside {count} ledger entries: restore it {_RESTORE}"
                )
        elif head.count > count:
            raise Failed(
                f"the ledger holds {count} entries, its head {where} counts {head.count}: entries "
                f"were cut off at the end; restore {FOLDER}/ {_RESTORE}"
            )
        elif digests[head.count] != head.last:
            raise Failed(
                f"ledger entry {head.count} is not the one that its head {where} names: one of "
                f"them was changed; restore both {_RESTORE}"
            )

    def _parse(self, path: str, content: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(content)
            if isinstance(entry, dict) and {"number", "previous", "kind", "at"} <= set(entry):
                return entry
        except (json.JSONDecodeError, UnicodeDecodeError, TypeError):
            pass
        raise Failed(
            f"{self._storage.locate(path)} is not a ledger entry; restore it from the bucket's "
            "versions before any further promotion"
        )

    def append(
        self, kind: str, at: datetime, guard: Guard | None = None, **facts: Any
    ) -> dict[str, Any]:
        """The entry, written after every entry that exists by now.

        Where the clock went backwards the entry says so (`earlier_than`); numbers are the order.
        `guard` sees the entries that this one will follow, and may raise to keep it out.
        """
        self._begin()
        for _ in range(_TRIES):
            before, digests = self._read()
            if guard is not None:
                guard(before)
            entry = {
                "number": len(before) + 1,
                "previous": digests[-1],
                "kind": kind,
                "at": at.isoformat(),
                **_backwards(before, at),
                **facts,
            }
            line = _line(entry)
            try:
                self._storage.replace(self._path(len(before) + 1), line, None)
            except Conflict:
                continue
            self._advance(Head(len(before) + 1, hashlib.sha256(line).hexdigest()))
            return entry
        raise Conflict(f"{self._storage.locate(self._folder)} is being written by many at once")

    def _begin(self) -> None:
        """A head of no entries, where there is neither."""
        if not self._storage.exists(self._head) and not self._storage.listing(self._folder):
            try:
                self._storage.replace(self._head, Head().content(), None)
            except Conflict:
                return  # another writer began it

    def _advance(self, to: Head) -> None:
        """The head counts at least the entries up to `to`."""
        for _ in range(_TRIES):
            now = self.head()
            if now is not None and now.count >= to.count:
                return
            try:
                was = None if now is None else now.content()
                self._storage.replace(self._head, to.content(), was)
            except Conflict:
                continue
            return

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"


def _line(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True) + "\n").encode()


def _backwards(before: list[dict[str, Any]], at: datetime) -> dict[str, str]:
    last = before[-1]["at"] if before else None
    if last is None or datetime.fromisoformat(last) <= at:
        return {}
    return {EARLIER: last}
