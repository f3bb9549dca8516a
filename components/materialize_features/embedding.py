"""Texts of elements without a given embedding get one, computed once for each text and encoder.

A slot whose elements come with embeddings keeps them: two encoders never meet in one slot. The
cache is keyed by the text's digest, in shards, so a day embeds only what is new.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.adapters.storage import Storage
from components.adapters.text_encoder import TextEncoder

Cache = dict[str, np.ndarray]  # digest of a text -> its embedding


def embed_table(
    table: pa.Table,
    encoder: TextEncoder,
    storage: Storage | None = None,
    slots: Sequence[str] | None = None,
) -> tuple[pa.Table, list[str]]:
    """(elements table with `embedding` filled, the slots it was filled in).

    Filled are elements with a text in slots that have no embedding of their own; `slots` names the
    only ones to look at. `storage` keeps what was computed for the next day.
    """
    if "text" not in table.column_names:
        return table, []
    given = _lists(table)
    slot = table["slot"].to_pylist()
    texts = [text or "" for text in table["text"].to_pylist()]
    own = {name for name, row in zip(slot, given, strict=True) if row is not None}
    asked = set(slot if slots is None else slots) - own
    wanted = [i for i, text in enumerate(texts) if slot[i] in asked and text.strip()]
    vectors = embeddings(sorted({texts[i] for i in wanted}), encoder, storage)
    for i in wanted:
        given[i] = vectors[texts[i]]
    column = pa.array(given, pa.list_(pa.float32()))
    if "embedding" in table.column_names:
        table = table.drop_columns(["embedding"])
    return table.append_column("embedding", column), sorted({slot[i] for i in wanted})


def _lists(table: pa.Table) -> list[list[float] | np.ndarray | None]:
    if "embedding" not in table.column_names:
        return [None] * len(table)
    return [row or None for row in table["embedding"].to_pylist()]


def embeddings(texts: list[str], encoder: TextEncoder, storage: Storage | None) -> Cache:
    """Text -> its embedding (d,), from the cache where it is known."""
    names = {text: digest(text) for text in texts}
    known: Cache = {}
    if storage is not None:
        for shard in sorted({name[0] for name in names.values()}):
            known |= _read(storage, _path(encoder, shard))
    new = [text for text in texts if names[text] not in known]
    if new:
        found = encoder.encode(new)
        fresh = {names[text]: row for text, row in zip(new, found, strict=True)}
        known |= fresh
        if storage is not None:
            _write(storage, encoder, known, {name[0] for name in fresh})
    return {text: known[names[text]] for text in texts}


def digest(text: str) -> str:
    """Names a text's content."""
    return hashlib.sha256(text.encode()).hexdigest()


def _path(encoder: TextEncoder, shard: str) -> str:
    return f"embeddings/{encoder.fingerprint}/{shard}.parquet"


def _read(storage: Storage, path: str) -> Cache:
    if not storage.exists(path):
        return {}
    table = pq.read_table(io.BytesIO(storage.read(path)))
    rows = table["embedding"].combine_chunks()
    width = rows.type.list_size
    vectors = rows.flatten().to_numpy(zero_copy_only=False).reshape(len(table), width)
    return dict(zip(table["digest"].to_pylist(), vectors, strict=True))


def _write(storage: Storage, encoder: TextEncoder, known: Cache, shards: Iterable[str]) -> None:
    """Whole shards; of two writers at once the last one stays, and the other's are made again."""
    for shard in sorted(shards):
        names = sorted(name for name in known if name.startswith(shard))
        stacked = np.stack([known[name] for name in names]).astype(np.float32)
        column = pa.FixedSizeListArray.from_arrays(pa.array(stacked.ravel()), stacked.shape[1])
        sink = io.BytesIO()
        pq.write_table(pa.table({"digest": names, "embedding": column}), sink, compression="zstd")
        storage.write(_path(encoder, shard), sink.getvalue())
