"""Log files -> one typed relation a kind and day, with unreadable files named, not raised.

Parquet is read where it lies, column by column, by whoever asks for a relation. JSON Lines and
JSON text inside Parquet are typed once into Parquet files of the scratch folder, a chunk at a time.
"""

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_logs.inputs import LogFile
from components.ingest_logs.typed import Shape, typed_select
from components.ingest_logs.typed_json import json_fields
from components.ingest_logs.typed_parquet import parquet_fields
from components.sql import name, parquet, quote
from validation.contract import LOGS

if TYPE_CHECKING:
    import duckdb

_JSON_ENDINGS = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz")
_RELEASED = "(file, row) NOT IN (SELECT (file, row) FROM released)"


def is_json(file: LogFile) -> bool:
    return file.path.endswith(_JSON_ENDINGS)


@dataclass
class Reading:
    """What was read: typed relations by kind and day, JSON lines by day, files by their number.

    Inside the joins a file is its number here, in order of (kind, day, path). `unreadable` holds
    the sentence of every file that could not be read; its rows are absent. Rows of table
    `released` (release.py) are left out, where there are any.
    """

    files: list[LogFile]
    shape: Shape
    unreadable: dict[str, str] = field(default_factory=dict)
    released: bool = False
    _selects: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _lines: dict[int, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def rows(self, kind: str, days: list[str]) -> str:
        """SQL of the typed rows of these days, each file's in order."""
        selects = [f"SELECT * FROM ({one})" for dt in days for one in self._selects[kind, dt]]
        every = " UNION ALL ".join([*selects, _empty_select(kind, self.shape)])
        return f"(SELECT * FROM ({every}){f' WHERE {_RELEASED}' if self.released else ''})"

    def number(self, path: str) -> int:
        return next(number for number, file in enumerate(self.files) if file.path == path)

    def lines(self, number: int) -> list[Path]:
        """Parquet files (file, row, ..., line) with the text of a JSON file."""
        return self._lines[number]


def read_files(
    database: "duckdb.DuckDBPyConnection", files: list[LogFile], shape: Shape, folder: Path
) -> Reading:
    """The files' typed relations, and table `files` (file, path, dt); `folder` is scratch."""
    unreadable = {file.path: _empty(file) for file in files if file.size == 0 and _holds_more(file)}
    reading = Reading(files, shape, unreadable)
    database.execute("CREATE TABLE files (file INTEGER, path VARCHAR, dt VARCHAR)")
    rows = [[number, file.path, file.dt] for number, file in enumerate(files)]
    if rows:
        database.executemany("INSERT INTO files VALUES (?, ?, ?)", rows)
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, file in enumerate(files):
        if file.size == 0:
            continue
        if is_json(file):
            _read_json(database, reading, number, folder)
        elif (schema := _schema(reading, file)) is not None:
            groups[file.kind, file.dt, schema].append(number)
    for (kind, dt, _), numbers in groups.items():
        _read_parquet(database, reading, kind, dt, numbers, folder)
    return reading


def _holds_more(file: LogFile) -> bool:
    """Whether even a table without a row takes bytes in this form; plain text may be empty."""
    return not is_json(file) or file.path.endswith(".gz")


def _empty(file: LogFile) -> str:
    form = "gzip" if file.path.endswith(".gz") else "Parquet"
    return (
        f"{file.path} is empty (0 bytes); expected a whole {form} file, which takes some bytes even "
        "without a row: upload it again and run the day again"
    )


def _schema(reading: Reading, file: LogFile) -> str | None:
    """A text that is equal for equal columns; None and a sentence where the file is broken."""
    try:
        return str(pq.read_schema(file.local).remove_metadata())
    except (pa.ArrowException, OSError) as error:
        reading.unreadable[file.path] = (
            f"{file.path} ({file.size:,} bytes) is not a whole Parquet file: {_first(error)}; "
            "expected a complete file: upload it again and run the day again"
        )
        return None


def _first(error: Exception) -> str:
    return str(error).splitlines()[0][:160]


def _read_parquet(
    database: "duckdb.DuckDBPyConnection",
    reading: Reading,
    kind: str,
    dt: str,
    numbers: list[int],
    folder: Path,
) -> None:
    source = parquet([reading.files[n].local for n in numbers], ", file_row_number = true")
    described = database.execute(f"SELECT * FROM {source} LIMIT 0").description or []
    columns = LOGS[kind]
    types = {column[0]: column[1] for column in described}
    fields = parquet_fields(columns, types, reading.shape)
    kept = "".join(", " + name(c.name) for c in columns if c.name in types)
    relation = (
        f"(SELECT {numbers}[file_index::BIGINT + 1]::INTEGER AS file, file_row_number + 1 AS row, "
        f"{quote(dt)} AS dt{kept} FROM {source})"
    )
    select = typed_select(columns, fields, relation)
    if any(one.costly for one in fields.values()):
        target = folder / f"typed-{numbers[0]}.parquet"
        database.execute(f"COPY ({select}) TO {quote(str(target))} (FORMAT parquet)")
        select = f"SELECT * FROM {parquet(target)}"
    reading._selects[kind, dt].append(select)


def _empty_select(kind: str, shape: Shape) -> str:
    source = "(SELECT 0::INTEGER AS file, 0::BIGINT AS row, '' AS dt WHERE false)"
    return typed_select(LOGS[kind], parquet_fields(LOGS[kind], {}, shape), source)


def _read_json(
    database: "duckdb.DuckDBPyConnection", reading: Reading, number: int, folder: Path
) -> None:
    file = reading.files[number]
    relation = "(SELECT *, CASE WHEN json_valid(line) THEN CAST(line AS JSON) END AS j FROM chunk)"
    columns = LOGS[file.kind]
    fields = json_fields(columns, reading.shape)
    broken = "coalesce(json_type(j), 'NULL') <> 'OBJECT'"
    select = typed_select(columns, fields, relation, broken, extra=", line")
    written = []
    try:
        for chunk in _chunks(file, number):
            target = folder / f"typed-{number}-{len(written)}.parquet"
            database.register("chunk", chunk)
            database.execute(f"COPY ({select}) TO {quote(str(target))} (FORMAT parquet)")
            database.unregister("chunk")
            written.append(target)
    except (OSError, EOFError, zlib.error) as error:
        reading.unreadable[file.path] = (
            f"{file.path} ({file.size:,} bytes) is not a whole gzip file: {_first(error)}; "
            "expected a complete file: upload it again and run the day again"
        )
        return
    if written:
        reading._lines[number] = written
        reading._selects[file.kind, file.dt].append(
            f"SELECT * EXCLUDE (line) FROM {parquet(written)}"
        )


def _chunks(file: LogFile, number: int, rows: int = 200_000) -> Iterator[pa.Table]:
    """The file's non-blank lines as tables (file, row, dt, line), at most `rows` at a time."""
    numbers: list[int] = []
    lines: list[str] = []
    with _open(file.local, file.path) as stream:
        for place, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            numbers.append(place)
            lines.append(line.rstrip(b"\r\n").decode("utf-8", errors="replace"))
            if len(lines) == rows:
                yield _table(file, number, numbers, lines)
                numbers, lines = [], []
    if lines:
        yield _table(file, number, numbers, lines)


def _open(local: Path, path: str) -> gzip.GzipFile:
    return gzip.open(local, "rb") if path.endswith(".gz") else local.open("rb")  # type: ignore[return-value]


def _table(file: LogFile, number: int, numbers: list[int], lines: list[str]) -> pa.Table:
    return pa.table(
        {
            "file": pa.array([number] * len(lines), pa.int32()),
            "row": pa.array(numbers, pa.int64()),
            "dt": pa.array([file.dt] * len(lines), pa.string()),
            "line": pa.array(lines, pa.string()),
        }
    )
