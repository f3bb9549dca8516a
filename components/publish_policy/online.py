"""The champion's table -> Feast's online store: (product, cell) -> its top combinations.

An ad server reads one key and draws by the probabilities. A key that the table before had and
this one has not is written with no combinations, so that nothing of an older champion is served. A
table of an older day of the same champion, as a backfill makes one, is left out.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.adapters.feature_store import FeatureDoor
from components.adapters.storage import Storage
from components.day import to_json
from components.materialize_features.history import cell_text

VIEW = "served_policy"
CHUNK = 2_000  # keys written at once
Key = tuple[str, str]

_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("cell_key", pa.string()),
        ("creatives", pa.list_(pa.string())),
        ("probabilities", pa.list_(pa.float32())),
        ("predicted_rewards", pa.list_(pa.float32())),
        ("version", pa.int64()),
        ("event_timestamp", _TIME),
        ("created_timestamp", _TIME),
    ]
)


@dataclass(frozen=True)
class Champion:
    """A champion's published table: its path in the store, its day, the version's number."""

    table: str
    ds: str
    version: int


def push_policy(door: FeatureDoor, storage: Storage, champion: Champion, at: datetime) -> int:
    """How many keys the online store was given; their event is `at`."""
    ledger = f"features/{door.project}/{door.online_place}/{VIEW}.json"
    before = Champion(**json.loads(storage.read(ledger))) if storage.exists(ledger) else None
    if before and before.version == champion.version and before.ds > champion.ds:
        return 0
    served = _read(storage, champion.table)
    kept = {key for key, _ in served}
    gone = [key for key, _ in _read(storage, before.table) if key not in kept] if before else []
    rows = [
        *(_row(key, shown, champion.version, at) for key, shown in served),
        *(_row(key, [], champion.version, at) for key in gone),
    ]
    door.apply()
    for first in range(0, len(rows), CHUNK):
        door.write_online(VIEW, pa.Table.from_pylist(rows[first : first + CHUNK], _SCHEMA))
    storage.write(ledger, to_json(asdict(champion)))
    return len(served)


def _read(storage: Storage, path: str) -> list[tuple[Key, list[dict[str, Any]]]]:
    """Each key of a published policy table with its combinations, in the table's order."""
    with pq.ParquetFile(storage.fetch(path)) as file:
        return [(key, list(rows)) for key, rows in itertools.groupby(_rows(file), _key)]


def _rows(file: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches():
        yield from batch.to_pylist()


def _key(row: dict[str, Any]) -> Key:
    return row["product_id"], cell_text(row["context"])


def _row(key: Key, shown: list[dict[str, Any]], version: int, at: datetime) -> dict[str, Any]:
    creatives = ({e["slot"]: e["element"] for e in one["creative"]} for one in shown)
    return {
        "product_id": key[0],
        "cell_key": key[1],
        "creatives": [json.dumps(one, sort_keys=True) for one in creatives],
        "probabilities": [one["probability"] for one in shown],
        "predicted_rewards": [one["predicted_reward"] for one in shown],
        "version": version,
        "event_timestamp": at,
        "created_timestamp": at,
    }
