"""What columns a day's files have, and of which family, so that a producer's change is named.

Parquet says it itself. JSON Lines are read whole, since a column may show up in the middle of a
file: the family of most of its values counts, and a column that fewer than RARE of the rows, or FEW,
have is left out, so that a few bad rows are no change. (Every row's types are checked by the rules of
reading.)
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_logs.inputs import LogFile
from components.ingest_logs.soundness import is_json
from components.sql import quote
from validation.contract import LOGS

RARE, FEW = 0.001, 3
Schema = dict[str, dict[str, list[str]]]  # kind -> column -> families, in order

# The first letter of a JSON value tells its family; every other one begins a number.
_JSON = {'"': "text", "{": "object", "[": "list", "t": "truth", "f": "truth"}


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
    times = {column.name for column in LOGS[file.kind] if column.type == "timestamp"}
    rows, counted = _counted(file)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for column, first, count in counted:
        if first != "n":
            family = _JSON.get(first, "number")
            seen[column]["timestamp" if family == "text" and column in times else family] += count
    return {
        column: min(families, key=lambda family: (-families[family], family))
        for column, families in seen.items()
        if families.total() >= max(RARE * rows, min(FEW, rows))
    }


def _counted(file: LogFile) -> tuple[int, list[tuple[str, str, int]]]:
    """Rows that are JSON objects, and how many have each (column, first letter of its value)."""
    import duckdb

    zipped = "gzip" if file.path.endswith(".gz") else "uncompressed"
    objects = (
        f"(SELECT json FROM read_ndjson_objects({quote(str(file.local))}, ignore_errors = true, "
        f"compression = '{zipped}', hive_partitioning = false) WHERE json_type(json) = 'OBJECT')"
    )
    within = "list_transform(json_keys(json, '$.context'), k -> 'context.' || k)"
    values = "list_concat(json_extract(json, '$.*'), json_extract(json, '$.context.*'))"
    with duckdb.connect() as database:
        counted = database.execute(
            f"SELECT k, v, count(*) FROM (SELECT unnest(list_concat(json_keys(json), {within})) AS "
            f"k, unnest(list_transform({values}, v -> left(CAST(v AS VARCHAR), 1))) AS v "
            f"FROM {objects}) GROUP BY ALL"
        ).fetchall()
        (rows,) = database.execute(f"SELECT count(*) FROM {objects}").fetchone() or (0,)
    return rows, counted
