"""A view's Parquet file -> its online values, a chunk of keys at a time, resumable.

Feast's own materialize holds the whole interval in memory (STACK.md: 6 to 7 GB for a million
keys). Here DuckDB writes the newest row of each key, sorted by key, spilling to disk; the rows go
through Feast's write_to_online_store in chunks, and a small ledger in the store says after each
which are done. A ledger is believed only as far as its keys are found online.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.adapters.feature_store import FeatureDoor
from components.adapters.storage import Storage, digest_of
from components.day import to_json
from components.errors import Failed
from components.materialize_features.latest import (
    EVENT,
    Interval,
    columns,
    join_keys,
    newest,
)
from components.materialize_features.parity import parity
from components.sql import name, quote

CHUNK = 20_000  # keys written at once
MEMORY = "512MB"  # of DuckDB while it sorts
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Written:
    """What came of a view: its keys, how many were written now, and why not all of them."""

    view: str
    keys: int
    written: int
    chunks: int
    resumed: int
    says: str


@dataclass
class Progress:
    """The ledger of a view's online values: the job, and a line for each chunk that is done."""

    job: str
    start: str
    end: str
    complete: bool = False
    chunks: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Online:
    """Where a view's values come from and go to."""

    door: FeatureDoor
    storage: Storage
    scratch: Path
    chunk: int = CHUNK
    memory: str = MEMORY

    def ledger(self, view: str) -> str:
        return f"features/{self.door.project}/{self.door.online_place}/{view}.json"


def materialize(
    online: Online, view: str, interval: Interval, watch: Watch = lambda said: None
) -> Written:
    """The online store holds the newest value of every key in the interval.

    A key without an event in the interval keeps what it has. An interval that ends before the one
    that was written last is left out, so that no old value replaces a newer one.
    """
    source = online.door.folder / f"{view}.parquet"
    if not source.exists():
        raise Failed(f"{source} is not there; run the day whose features are to be served")
    job = _job(online, view, source, interval)
    before = _read(online, view)
    said = None if before is None else _nothing_to_do(online, view, source, before, job, interval)
    if said is not None:
        return Written(view, 0, 0, 0, 0, said)
    progress = Progress(job, *interval.says())
    if before is not None and before.job == job and not before.complete:
        progress = before
    draft = online.scratch / f"{view}-{job}.parquet"
    _newest(online, view, source, interval, draft)
    written, resumed = 0, 0
    for number, rows in enumerate(_chunks(draft, online.chunk)):
        if number < len(progress.chunks) and _is_online(online, view, progress.chunks[number]):
            resumed += 1
            continue
        online.door.write_online(view, rows)
        written += len(rows)
        progress.chunks[number : number + 1] = [_line(online, view, rows)]
        _keep(online, view, progress)
        watch(f"{view}: chunk {number + 1}, {written:,} keys written")
    progress.complete = True
    _keep(online, view, progress)
    keys = pq.read_metadata(draft).num_rows
    draft.unlink()
    said = f"{resumed} chunks were done before" if resumed else "written whole"
    return Written(view, keys, written, len(progress.chunks), resumed, said)


def _newest(online: Online, view: str, source: Path, interval: Interval, draft: Path) -> None:
    import duckdb

    keys = ", ".join(map(name, join_keys(online.door, view)))
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"SET memory_limit = {quote(online.memory)}")
        database.execute(f"SET temp_directory = {quote(str(online.scratch / 'spill'))}")
        database.execute(
            f"COPY ({newest(online.door, view, source, interval)} ORDER BY {keys}) "
            f"TO {quote(str(draft))} (FORMAT parquet, ROW_GROUP_SIZE 20480)"
        )


def _chunks(draft: Path, size: int) -> Iterator[pa.Table]:
    with pq.ParquetFile(draft) as file:
        held: list[pa.RecordBatch] = []
        for batch in file.iter_batches(batch_size=size):
            held.append(batch)
            while sum(map(len, held)) >= size:
                whole = pa.Table.from_batches(held)
                yield whole.slice(0, size).combine_chunks()
                held = whole.slice(size).to_batches()
        if held:
            yield pa.Table.from_batches(held).combine_chunks()


def _job(online: Online, view: str, source: Path, interval: Interval) -> str:
    """Names what is written and how it is cut; another source, schema or interval is another."""
    told = [digest_of(source), columns(online.door, view), interval.says(), online.chunk]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _read(online: Online, view: str) -> Progress | None:
    path = online.ledger(view)
    if not online.storage.exists(path):
        return None
    return Progress(**json.loads(online.storage.read(path)))


def _keep(online: Online, view: str, progress: Progress) -> None:
    online.storage.write(online.ledger(view), to_json(asdict(progress)))


def _line(online: Online, view: str, rows: pa.Table) -> dict[str, Any]:
    last = rows.slice(len(rows) - 1).to_pylist()[0]
    keys = {key: last[key] for key in join_keys(online.door, view)}
    return {"rows": len(rows), "last": keys, "event": int(last[EVENT].timestamp())}


def _nothing_to_do(
    online: Online, view: str, source: Path, before: Progress, job: str, interval: Interval
) -> str | None:
    """Why nothing is to be written, if so: a later interval is online, or this one already."""
    if not before.complete:
        return None
    if before.end > interval.says()[1]:
        last = all(_is_online(online, view, chunk) for chunk in before.chunks[-1:])
        return f"left as it is: values up to {before.end} were written already" if last else None
    if before.job != job:
        return None
    found = parity(online.door, view, source, interval)
    return "online already, and equal on a sample" if found.equal == found.sampled else None


def _is_online(online: Online, view: str, chunk: dict[str, Any]) -> bool:
    """Whether the chunk's last key is found with an event as new as the one written."""
    first = online.door.view(view).features[0].name
    keys = {key: [value] for key, value in chunk["last"].items()}
    found = online.door.online(keys, [f"{view}:{first}"])
    return found[f"{first}__ts"][0].as_py() >= chunk["event"]
