"""What columns a day's files have, and of which family, so that a producer's change is named.

Parquet says it itself. Of JSON Lines the first SAMPLED rows of each file are read: the family of
most of them counts, and a column that fewer than RARE of them have is left out, so that a few bad
rows are no change. (Every row's types are checked by the rules of reading.)
"""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_logs.inputs import LogFile
from components.ingest_logs.reading import is_json
from validation.contract import LOGS

SAMPLED = 200
RARE = 0.05
Schema = dict[str, dict[str, list[str]]]  # kind -> column -> families, in order

_JSON = {bool: "truth", int: "number", float: "number", str: "text", dict: "object", list: "list"}


def schema_of(files: Iterable[LogFile]) -> Schema:
    """Families of every column by kind of log, over all files; context fields as context.<name>."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for file in files:
        if file.size:
            columns = _json_columns(file) if is_json(file) else _parquet_columns(file)
            for column, family in columns.items():
                found[file.kind][column].add(family)
    return {
        kind: {column: sorted(families) for column, families in sorted(columns.items())}
        for kind, columns in sorted(found.items())
    }


def _parquet_columns(file: LogFile) -> dict[str, str]:
    columns = {}
    for field in pq.read_schema(file.local):
        columns[field.name] = _arrow_family(field.type)
        if field.name == "context" and pa.types.is_struct(field.type):
            columns |= {f"context.{inner.name}": _arrow_family(inner.type) for inner in field.type}
    return columns


def _arrow_family(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return _arrow_family(kind.value_type)
    for family, asks in _ARROW.items():
        if any(ask(kind) for ask in asks):
            return family
    return str(kind)


_ARROW: dict[str, tuple[Any, ...]] = {
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "timestamp": (pa.types.is_timestamp,),
    "truth": (pa.types.is_boolean,),
    "object": (pa.types.is_struct, pa.types.is_map),
    "list": (pa.types.is_list, pa.types.is_large_list),
}


def _json_columns(file: LogFile) -> dict[str, str]:
    rows = list(_rows(file))
    times = {column.name for column in LOGS[file.kind] if column.type == "timestamp"}
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        context = row.get("context")
        inner = context.items() if isinstance(context, dict) else ()
        for column, value in [*row.items(), *((f"context.{k}", v) for k, v in inner)]:
            if value is not None:
                is_time = column in times and isinstance(value, str)
                seen[column]["timestamp" if is_time else _JSON[type(value)]] += 1
    return {
        column: families.most_common(1)[0][0]
        for column, families in seen.items()
        if families.total() >= RARE * len(rows)
    }


def _rows(file: LogFile) -> Iterator[dict[str, Any]]:
    zipped = file.path.endswith(".gz")
    with gzip.open(file.local, "rb") if zipped else file.local.open("rb") as stream:
        for line in islice(stream, SAMPLED):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield row
