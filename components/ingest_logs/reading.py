"""Log files -> one typed relation a kind and day, with unreadable files named, not raised.

Parquet is read where it lies, column by column, by whoever asks for a relation. JSON Lines and
JSON text inside Parquet are typed once into Parquet files of the scratch folder, a chunk at a time.
"""

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_logs.inputs import LogFile
from components.ingest_logs.soundness import (
    broken_gzip,
    broken_parquet,
    is_json,
    misnamed,
    misnamed_columns,
    unreadable_when_empty,
)
from components.ingest_logs.typed import Shape, typed_select
from components.ingest_logs.typed_json import json_fields, json_parts
from components.ingest_logs.typed_parquet import parquet_fields
from components.sql import copy_to, name, parquet
from validation.contract import LOGS

if TYPE_CHECKING:
    import duckdb

_RELEASED = "(file, row) NOT IN (SELECT (file, row) FROM released)"


@dataclass(frozen=True)
class Source:
    """A file that could be read: its number, rows, and how it is read together with others.

    form, columns: the same for files that one query can read; the form's `{numbers}`, `{dt}` and
    `{paths}` are theirs. paths: Parquet files, its own or those of the scratch folder. line:
    whether these hold its text.
    """

    number: int
    kind: str
    dt: str
    rows: int
    form: str
    paths: tuple[Path, ...]
    columns: str = ""
    line: bool = False


@dataclass
class Reading:
    """What was read, as typed relations; inside the joins a file is its number in `files`.

    `unreadable` holds the sentence of every file that could not be read; its rows are absent. Rows
    of table `released` (release.py) are left out, where there are any.
    """

    files: list[LogFile]
    shape: Shape
    unreadable: dict[str, str] = field(default_factory=dict)
    sources: dict[int, Source] = field(default_factory=dict)
    released: bool = False

    def rows(self, kind: str, numbers: Iterable[int] | None = None) -> str:
        """SQL of the typed rows of these files (all of the kind), each file's in order."""
        chosen = sorted(self.sources) if numbers is None else sorted(numbers)
        wanted = [self.sources[n] for n in chosen if self.sources[n].kind == kind]
        together = groupby(wanted, key=lambda s: (s.dt, s.form, s.columns))
        selects = [_together(form, dt, list(sources)) for (dt, form, _), sources in together]
        every = " UNION ALL ".join(selects or [_empty_select(kind, self.shape)])
        return f"(SELECT * FROM ({every}){f' WHERE {_RELEASED}' if self.released else ''})"

    def of_day(self, dt: str, kinds: tuple[str, ...] = tuple(LOGS)) -> list[int]:
        """Numbers of a day's files of these kinds, in order."""
        return sorted(s.number for s in self.sources.values() if s.dt == dt and s.kind in kinds)


def _together(form: str, dt: str, sources: list[Source]) -> str:
    paths = parquet(dict.fromkeys(path for source in sources for path in source.paths))
    numbers = [source.number for source in sources]
    return form.replace("{numbers}", str(numbers)).replace("{dt}", dt).replace("{paths}", paths)


def read_files(
    database: "duckdb.DuckDBPyConnection",
    files: list[LogFile],
    shape: Shape,
    folder: Path,
    only: int | None = None,
    damaged: Mapping[str, str] = MappingProxyType({}),
) -> Reading:
    """The files' typed relations, and table `files` (file, path, dt); `folder` is scratch.

    only: the number of the one file to read, where the others are somebody else's work. damaged:
    files known to be unreadable (path -> sentence).
    """
    empty = {file.path: unreadable_when_empty(file) for file in files if file.size == 0}
    unreadable = {path: why for path, why in empty.items() if why is not None}
    reading = Reading(files, shape, unreadable | dict(damaged))
    database.execute("CREATE TABLE files (file INTEGER, path VARCHAR, dt VARCHAR)")
    for number, file in enumerate(files):
        database.execute("INSERT INTO files VALUES (?, ?, ?)", [number, file.path, file.dt])
        if file.size > 0 and only in (None, number) and file.path not in damaged:
            read = _read_json if is_json(file) else _read_parquet
            read(database, reading, number, folder)
    return reading


def _read_parquet(
    database: "duckdb.DuckDBPyConnection", reading: Reading, number: int, folder: Path
) -> None:
    import duckdb

    file = reading.files[number]
    try:
        metadata = pq.read_metadata(file.local)
        schema = metadata.schema.to_arrow_schema()
        wrong = misnamed_columns(file, schema)
        if wrong is not None:
            reading.unreadable[file.path] = wrong
            return
        form, costly = _parquet_form(database, file, reading.shape)
    except (pa.ArrowException, OSError, UnicodeDecodeError, duckdb.Error) as error:
        reading.unreadable[file.path] = broken_parquet(file, error)
        return
    columns = str(schema.remove_metadata())
    known = (number, file.kind, file.dt, metadata.num_rows)
    source = Source(*known, form, (file.local,), columns)
    if costly:
        target = folder / f"typed-{number}.parquet"
        copy_to(database, _together(form, file.dt, [source]), target)
        source = Source(*known, _TYPED, (target,))
    reading.sources[number] = source


_NO_OBJECT = (
    "CASE WHEN utf8 THEN 'the line is not a JSON object' ELSE 'the line is not UTF-8 text' END"
)
_TYPED = "SELECT * FROM {paths}"
_WITH_LINE = "SELECT * EXCLUDE (line) FROM {paths}"


def _parquet_form(
    database: "duckdb.DuckDBPyConnection", file: LogFile, shape: Shape
) -> tuple[str, bool]:
    """How files with this one's columns are read, and whether that had better be done once."""
    described = database.execute(f"SELECT * FROM {parquet(file.local)} LIMIT 0").description or []
    columns = LOGS[file.kind]
    types = {column[0]: column[1] for column in described}
    fields = parquet_fields(columns, types, shape)
    kept = "".join(", " + name(c.name) for c in columns if c.name in types)
    relation = (
        "(SELECT {numbers}[file_index::BIGINT + 1]::INTEGER AS file, file_row_number + 1 AS row, "
        f"'{{dt}}' AS dt{kept} FROM {{paths}})"
    )
    return typed_select(columns, fields, relation), any(one.costly for one in fields.values())


def _empty_select(kind: str, shape: Shape) -> str:
    source = "(SELECT 0::INTEGER AS file, 0::BIGINT AS row, '' AS dt WHERE false)"
    return typed_select(LOGS[kind], parquet_fields(LOGS[kind], {}, shape), source)


def _read_json(
    database: "duckdb.DuckDBPyConnection", reading: Reading, number: int, folder: Path
) -> None:
    file = reading.files[number]
    wrong = misnamed(file)
    if wrong is not None:
        reading.unreadable[file.path] = wrong
        return
    json = "CASE WHEN utf8 AND json_valid(line) THEN CAST(line AS JSON) END"
    columns = LOGS[file.kind]
    relation = f"(SELECT *, {json_parts(columns)} AS part FROM (SELECT *, {json} AS j FROM chunk))"
    fields = json_fields(columns, reading.shape)
    broken = "coalesce(json_type(j), 'NULL') <> 'OBJECT'"
    select = typed_select(columns, fields, relation, broken, _NO_OBJECT, ", line")
    written: list[Path] = []
    rows = 0
    try:
        for chunk in _chunks(file, number):
            target = folder / f"typed-{number}-{len(written)}.parquet"
            database.register("chunk", chunk)
            copy_to(database, select, target)
            database.unregister("chunk")
            written.append(target)
            rows += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        reading.unreadable[file.path] = broken_gzip(file, error)
        return
    if written:
        source = Source(number, file.kind, file.dt, rows, _WITH_LINE, tuple(written), line=True)
        reading.sources[number] = source


def _chunks(file: LogFile, number: int, rows: int = 200_000) -> Iterator[pa.Table]:
    """The file's non-blank lines as tables (file, row, dt, line, utf8), at most `rows` at a time.

    utf8: whether the line is UTF-8; bytes that are not stand as U+FFFD in `line`. A byte order mark
    before the first line is no part of it.
    """
    numbers: list[int] = []
    lines: list[str] = []
    foreign: set[int] = set()
    with _open(file.local, file.path) as stream:
        for place, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            text = line.rstrip(b"\r\n")
            if place == 1:
                text = text.removeprefix(BOM_UTF8)
            try:
                lines.append(text.decode())
            except UnicodeDecodeError:
                foreign.add(place)
                lines.append(text.decode(errors="replace"))
            numbers.append(place)
            if len(lines) == rows:
                yield _table(file, number, numbers, lines, foreign)
                numbers, lines = [], []
    if lines:
        yield _table(file, number, numbers, lines, foreign)


def _open(local: Path, path: str) -> gzip.GzipFile:
    return gzip.open(local, "rb") if path.endswith(".gz") else local.open("rb")  # type: ignore[return-value]


def _table(
    file: LogFile, number: int, numbers: list[int], lines: list[str], foreign: set[int]
) -> pa.Table:
    return pa.table(
        {
            "file": pa.array([number] * len(lines), pa.int32()),
            "row": pa.array(numbers, pa.int64()),
            "dt": pa.array([file.dt] * len(lines), pa.string()),
            "line": pa.array(lines, pa.string()),
            "utf8": pa.array([place not in foreign for place in numbers], pa.bool_()),
        }
    )
