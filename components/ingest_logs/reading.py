"""Log files -> one typed DuckDB table a kind, with unreadable files named, not raised."""

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_logs.inputs import LogFile
from components.ingest_logs.typed import json_fields, parquet_fields, typed_select
from components.sql import name, parquet, quote
from validation.contract import LOGS

if TYPE_CHECKING:
    import duckdb

_JSON_ENDINGS = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz")


def is_json(file: LogFile) -> bool:
    return file.path.endswith(_JSON_ENDINGS)


def load(
    database: "duckdb.DuckDBPyConnection", files: list[LogFile], context: Mapping[str, str]
) -> dict[str, str]:
    """Tables `impressions`, `clicks`, `conversions`, `aggregates` and `lines` (JSON rows as text).

    Returns the sentence of every file that could not be read, by path; their rows are absent.
    """
    unreadable = {file.path: _empty(file) for file in files if file.size == 0 and _holds_more(file)}
    database.execute("CREATE TABLE lines (file VARCHAR, row BIGINT, dt VARCHAR, line VARCHAR)")
    for kind in LOGS:
        of_kind = [file for file in files if file.kind == kind and file.size > 0]
        parquet = _schemas([f for f in of_kind if not is_json(f)], database, unreadable)
        selects = [_parquet_select(kind, group, types, context) for types, group in parquet]
        selects += [_empty_select(kind, context)]
        database.execute(f"CREATE TABLE {kind} AS {' UNION ALL '.join(selects)}")
        for file in (f for f in of_kind if is_json(f)):
            _insert_json(database, kind, file, context, unreadable)
    return unreadable


def _holds_more(file: LogFile) -> bool:
    """Whether even a table without a row takes bytes in this form; plain text may be empty."""
    return not is_json(file) or file.path.endswith(".gz")


def _empty(file: LogFile) -> str:
    form = "gzip" if file.path.endswith(".gz") else "Parquet"
    return (
        f"{file.path} is empty (0 bytes); expected a whole {form} file, which takes some bytes even "
        "without a row: upload it again and run the day again"
    )


def _schemas(
    files: list[LogFile], database: "duckdb.DuckDBPyConnection", unreadable: dict[str, str]
) -> list[tuple[dict[str, str], list[LogFile]]]:
    """Files with the same schema together, each group with its DuckDB column types."""
    groups: dict[str, list[LogFile]] = defaultdict(list)
    for file in files:
        try:
            metadata = pq.read_metadata(file.local)
        except (pa.ArrowException, OSError) as error:
            unreadable[file.path] = (
                f"{file.path} ({file.size:,} bytes) is not a whole Parquet file: {_first(error)}; "
                "expected a complete file: upload it again and run the day again"
            )
            continue
        groups[str(metadata.schema.to_arrow_schema().remove_metadata())].append(file)
    described = []
    for group in groups.values():
        rows = database.execute(f"DESCRIBE SELECT * FROM {parquet(_locals(group))}").fetchall()
        described.append(({row[0]: row[1] for row in rows}, group))
    return described


def _first(error: Exception) -> str:
    return str(error).splitlines()[0][:160]


def _locals(files: list[LogFile]) -> list[Path]:
    return [file.local for file in files]


def _parquet_select(
    kind: str, files: list[LogFile], types: Mapping[str, str], context: Mapping[str, str]
) -> str:
    columns = LOGS[kind]
    places = ", ".join(f"({quote(str(f.local))}, {quote(f.path)}, {quote(f.dt)})" for f in files)
    read = [name(c.name) for c in columns if c.name in types]
    source = (
        f"(SELECT p.file, file_row_number + 1 AS row, p.dt{''.join(', ' + r for r in read)} "
        f"FROM {parquet(_locals(files), ', filename = true, file_row_number = true')} q "
        f"JOIN (VALUES {places}) p(local, file, dt) ON q.filename = p.local)"
    )
    return typed_select(columns, parquet_fields(columns, types, context), source)


def _empty_select(kind: str, context: Mapping[str, str]) -> str:
    source = "(SELECT '' AS file, 0::BIGINT AS row, '' AS dt WHERE false)"
    return typed_select(LOGS[kind], parquet_fields(LOGS[kind], {}, context), source)


def _insert_json(
    database: "duckdb.DuckDBPyConnection",
    kind: str,
    file: LogFile,
    context: Mapping[str, str],
    unreadable: dict[str, str],
) -> None:
    relation = "(SELECT *, CASE WHEN json_valid(line) THEN CAST(line AS JSON) END AS j FROM chunk)"
    broken = "coalesce(json_type(j), 'NULL') <> 'OBJECT'"
    select = typed_select(LOGS[kind], json_fields(LOGS[kind], context), relation, broken)
    try:
        for chunk in _chunks(file):
            database.register("chunk", chunk)
            database.execute(f"INSERT INTO {kind} {select}")
            database.execute("INSERT INTO lines SELECT * FROM chunk")
            database.unregister("chunk")
    except (OSError, EOFError, zlib.error) as error:
        database.execute(f"DELETE FROM {kind} WHERE file = ?", [file.path])
        database.execute("DELETE FROM lines WHERE file = ?", [file.path])
        unreadable[file.path] = (
            f"{file.path} ({file.size:,} bytes) is not a whole gzip file: {_first(error)}; "
            "expected a complete file: upload it again and run the day again"
        )


def _chunks(file: LogFile, rows: int = 200_000) -> Iterator[pa.Table]:
    """The file's non-blank lines as tables (file, row, dt, line), at most `rows` at a time."""
    numbers: list[int] = []
    lines: list[str] = []
    with _open(file.local, file.path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            numbers.append(number)
            lines.append(line.rstrip(b"\r\n").decode("utf-8", errors="replace"))
            if len(lines) == rows:
                yield _table(file, numbers, lines)
                numbers, lines = [], []
    if lines:
        yield _table(file, numbers, lines)


def _open(local: Path, path: str) -> gzip.GzipFile:
    return gzip.open(local, "rb") if path.endswith(".gz") else local.open("rb")  # type: ignore[return-value]


def _table(file: LogFile, numbers: list[int], lines: list[str]) -> pa.Table:
    return pa.table(
        {
            "file": pa.array([file.path] * len(lines), pa.string()),
            "row": pa.array(numbers, pa.int64()),
            "dt": pa.array([file.dt] * len(lines), pa.string()),
            "line": pa.array(lines, pa.string()),
        }
    )
