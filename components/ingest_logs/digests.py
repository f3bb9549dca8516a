"""Digests of log files that were read before, so that an unchanged file of S3 is not fetched again.

`digests/<logs>.json` in the store: path -> [version tag, bytes, sha256] of the files of the last
run. Only where a tag changes whenever the bytes do (`Storage.tags_tell`); files of a folder are
digested each time. Lost or written by two runs at once, it costs a download and nothing else: a
file is compared with its digest when it is read.
"""

import json
from dataclasses import dataclass, field
from hashlib import sha256

from components.adapters.storage import Storage, Stored, digest_of
from components.day import to_json


@dataclass
class Digests:
    """What is known of the objects of `logs`, kept in `store`."""

    logs: Storage
    store: Storage
    seen: dict[str, tuple[str, int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = self._read() if self.logs.tags_tell else {}

    def of(self, stored: Stored) -> str:
        """The object's sha256 in hex; fetched where its tag or size is new."""
        known = self._known.get(stored.path)
        if known is None or known[:2] != (stored.tag, stored.size):
            known = (stored.tag, stored.size, digest_of(self.logs.fetch(stored.path)))
        self.seen[stored.path] = known
        return known[2]

    def keep(self) -> None:
        """The next run knows what this one saw; files that are gone are forgotten."""
        if self.logs.tags_tell and self.seen != self._known:
            self.store.write(self._place(), to_json({k: list(v) for k, v in self.seen.items()}))

    def _place(self) -> str:
        named = f"{self.logs.endpoint} {self.logs.root}"
        return f"digests/{sha256(named.encode()).hexdigest()[:16]}.json"

    def _read(self) -> dict[str, tuple[str, int, str]]:
        place = self._place()
        if not self.store.exists(place):
            return {}
        kept = json.loads(self.store.read(place))
        return {path: (tag, size, digest) for path, (tag, size, digest) in kept.items()}
