"""Spark as ingest's engine: it spreads rows over buckets, and each bucket is joined by DuckDB.

What a row means is said once, in SQL that DuckDB runs: types file by file, joins bucket by bucket.
Everything about an id lies in one bucket, so a bucket is a small ingest of its own. What needs
all rows of a user is counted by Spark before. See docs/adr/ on why the SQL is not translated.

    files --DuckDB--> typed rows --Spark: by bucket--> bags, checked, rejected, events, unfit
                           |                                                          |
                           +--Spark: by user--> users with many        by file--DuckDB--> raw
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from components.adapters.spark import open_spark
from components.ingest_logs.flagging import displays_limit
from components.ingest_logs.inputs import KINDS
from components.ingest_logs.joining import join
from components.ingest_logs.making import Counts, Finish, Making, Tables
from components.ingest_logs.raw import unfit_rows, write_sources
from components.ingest_logs.reading import Reading, Source, read_files
from components.ingest_logs.release import supersede
from components.ingest_logs.soundness import unreadable_when_empty
from components.ingest_logs.writing import write_tables
from components.sql import copy_to, open_database, quote
from validation.contract import LOGS

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame

A_BUCKET = 64 * 2**20  # bytes of logs, compressed as they come
_SEEN = "kind string, dt string, name string, file int, row long"
_SAID = pa.schema(
    [
        ("kind", pa.string()),
        ("dt", pa.string()),
        ("name", pa.string()),
        ("file", pa.int32()),
        ("row", pa.int64()),
    ]
)


def make_on_spark(making: Making, finish: Finish) -> Counts:
    """The days `again` are in the store, as on DuckDB; `finish` is told of each at the end."""
    with making.day.scratch("spark") as folder:
        spark = open_spark(folder, "ingest.engine")
        typed = _typed_rows(spark, making).persist()
        try:
            said = _joined(making, typed).persist()
            counts = _counts(making, typed, said)
            raw = _raw(making, said)
            parts = [(r.dt, r.name) for r in said.where("kind = 'part'").collect()] + raw
            said.unpersist()
        finally:
            typed.unpersist()
        for dt in making.again:
            finish(
                dt, _tables(making, folder, dt, [name for day, name in parts if day == dt]), counts
            )
    return counts


def _buckets(making: Making) -> int:
    return max(2, -(-sum(file.size for file in making.files) // A_BUCKET))


def _typed_sql(reading: Reading, buckets: int) -> str:
    """Rows of every kind under one schema, each with its bucket."""
    selects = []
    for kind in KINDS:
        own = "hash(file, row)" if kind == "aggregates" else "coalesce(hash(impression_id), 0)"
        bucket = f"({own} % {buckets})::INTEGER AS bucket"
        selects.append(f"SELECT {quote(kind)} AS kind, {bucket}, * FROM {reading.rows(kind)}")
    selects.append("SELECT 'superseded' AS kind, 0 AS bucket, file, row, dt FROM superseded")
    return " UNION ALL BY NAME ".join(selects)


def _typed_rows(spark: Any, making: Making) -> "DataFrame":
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = _typed_schema(making)
    buckets = _buckets(making)
    numbers = [(number,) for number, file in enumerate(making.files) if file.size > 0]
    files = spark.createDataFrame(numbers, "file int").repartition(max(1, len(numbers)), "file")

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("file").to_pylist():
                yield from _read_one(making, number, buckets, schema)

    return files.mapInArrow(read, from_arrow_schema(schema, prefer_timestamp_ntz=True))


def _typed_schema(making: Making) -> pa.Schema:
    with TemporaryDirectory() as folder, open_database(Path(folder), making.memory) as database:
        reading = read_files(database, [], making.shape, Path(folder))
        supersede(database, reading, [], KINDS)
        return database.execute(_typed_sql(reading, 1)).to_arrow_table().schema


def _read_one(
    making: Making, number: int, buckets: int, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """A file's typed rows; of one that cannot be read, a row that says why."""
    with TemporaryDirectory() as scratch, open_database(Path(scratch), making.memory) as database:
        reading = _read_file(making, database, number, Path(scratch))
        supersede(database, reading, making.releases, KINDS)
        sentence = reading.unreadable.get(making.files[number].path)
        if sentence is not None:
            row = {name: None for name in schema.names}
            row |= {"kind": f"unreadable {sentence}", "bucket": 0, "file": number}
            yield from pa.Table.from_pylist([row], schema=schema).to_batches()
            return
        for batch in database.execute(_typed_sql(reading, buckets)).to_arrow_reader(20_000):
            yield from pa.Table.from_batches([batch]).cast(schema).to_batches()


def _read_file(
    making: Making, database: "duckdb.DuckDBPyConnection", number: int, folder: Path
) -> Reading:
    """One file, fetched by whoever works on it."""
    return read_files(database, making.files, making.shape, folder, number, making.damaged)


def _busy(making: Making, typed: "DataFrame") -> pa.Table | None:
    """(dt, user_id, displays) of users with more displays than some rule allows."""
    from pyspark.sql import functions as f

    limit = displays_limit(making.rules)
    if limit is None:
        return None
    shown = typed.where("kind = 'impressions' AND readable AND user_id IS NOT NULL")
    by_user = shown.groupBy("dt", "user_id")
    counted = by_user.agg(f.countDistinct("impression_id").alias("displays"))
    return counted.where(f.col("displays") > limit).toArrow()


def _joined(making: Making, typed: "DataFrame") -> "DataFrame":
    """What each bucket wrote (part), set aside (unfit) and saw twice (repeat)."""
    busy = _busy(making, typed)
    kinds = ", ".join(quote(kind) for kind in KINDS)

    def work(rows: pa.Table) -> pa.Table:
        return _join_bucket(making, busy, rows)

    grouped = typed.where(f"kind IN ({kinds})").groupBy("bucket")
    return grouped.applyInArrow(work, _SEEN)


def _join_bucket(making: Making, busy: pa.Table | None, rows: pa.Table) -> pa.Table:
    bucket = rows["bucket"][0].as_py()
    said: list[dict[str, Any]] = []
    with (
        TemporaryDirectory() as scratch,
        open_database(Path(scratch), making.memory, 1) as database,
    ):
        folder = Path(scratch)
        reading = _reading_of(database, making, rows, folder)
        supersede(database, reading, [], KINDS)
        joining = making.joining(database, reading)
        if busy is not None:
            database.register("busy", busy)
            joining = replace(joining, busy="busy")
        join(joining)
        for dt in making.again:
            files = write_tables(joining, dt, folder, 1)
            unfit = unfit_rows(files["checked"], files["rejected"], files["events"])
            for file, row in database.execute(unfit).fetchall():
                said.append({"kind": "unfit", "dt": dt, "file": file, "row": row})
            for table, paths in files.items():
                for part, path in enumerate(paths):
                    name = f"{table}-{bucket:05d}-{part:04d}.parquet"
                    said.append({"kind": "part", "dt": dt, "name": making.upload(dt, path, name)})
        for file, count in database.execute(
            "SELECT file, count(*) FROM duplicates GROUP BY file"
        ).fetchall():
            said.append({"kind": "repeat", "file": file, "row": count})
    return pa.Table.from_pylist(said, schema=_SAID)


def _reading_of(
    database: "duckdb.DuckDBPyConnection", making: Making, rows: pa.Table, folder: Path
) -> Reading:
    """A bucket's rows as if they were files: those of a kind and day together, in order."""
    reading = read_files(database, making.files, making.shape, folder, only=-1)
    database.register("bucket_rows", rows)
    found = database.execute(
        "SELECT kind, dt, file, count(*) FROM bucket_rows GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for kind, dt in sorted({(kind, dt) for kind, dt, _, _ in found}):
        target = folder / f"bucket-{kind}-{dt}.parquet"
        names = ["file", "row", "dt", *(column.name for column in LOGS[kind])]
        names += ["other_slots"] * (kind in ("impressions", "aggregates"))
        chosen = ", ".join(f'"{name}"' for name in [*names, "readable", "problems"])
        copy_to(
            database,
            f"SELECT {chosen} FROM bucket_rows WHERE kind = {quote(kind)} AND dt = {quote(dt)} "
            "ORDER BY file, row",
            target,
        )
        form = "SELECT * FROM {paths} WHERE list_contains({numbers}, file)"
        for of_kind, of_day, file, count in found:
            if (of_kind, of_day) == (kind, dt):
                reading.sources[file] = Source(file, kind, dt, count, form, (target,))
    database.unregister("bucket_rows")
    return reading


def _raw(making: Making, said: "DataFrame") -> list[tuple[str, str]]:
    """(day, name) of the files with the unfit rows as they came, one a log file."""

    def work(rows: pa.Table) -> pa.Table:
        return _raw_of_file(making, rows)

    by_file = said.where("kind = 'unfit'").groupBy("file").applyInArrow(work, _SEEN)
    return [(row.dt, row.name) for row in by_file.collect()]


def _raw_of_file(making: Making, rows: pa.Table) -> pa.Table:
    number, dt = rows["file"][0].as_py(), rows["dt"][0].as_py()
    with TemporaryDirectory() as scratch, open_database(Path(scratch), making.memory) as database:
        reading = _read_file(making, database, number, Path(scratch))
        database.register("unfit_arrow", rows)
        database.execute("CREATE TABLE unfit_rows AS SELECT file, row FROM unfit_arrow")
        target = Path(scratch) / "raw.parquet"
        write_sources(database, reading, target, 1)
        name = making.upload(dt, target, f"raw-{number:05d}.parquet")
    return pa.Table.from_pylist([{"kind": "part", "dt": dt, "name": name}], schema=_SAID)


def _counts(making: Making, typed: "DataFrame", said: "DataFrame") -> Counts:
    """Rows read and repeated of each file by its path, and why one could not be read."""
    counts = Counts()
    for row in typed.groupBy("kind", "file").count().collect():
        path = making.files[row.file].path
        if row.kind.startswith("unreadable "):
            counts.unreadable[path] = row.kind.removeprefix("unreadable ")
            continue
        counts.read[path] = counts.read.get(path, 0) + row["count"]
        if row.kind == "superseded":
            counts.repeated[path] = counts.repeated.get(path, 0) + row["count"]
    for file in making.files:
        if file.size == 0 and (sentence := unreadable_when_empty(file)):
            counts.unreadable[file.path] = sentence
    for row in said.where("kind = 'repeat'").groupBy("file").sum("row").collect():
        path = making.files[row.file].path
        counts.repeated[path] = counts.repeated.get(path, 0) + row["sum(row)"]
    return counts


def _tables(making: Making, folder: Path, dt: str, names: list[str]) -> Tables:
    """Names of the day's files by table; a table that nobody wrote gets one without a row."""
    tables: Tables = {}
    for name in sorted(names):
        tables.setdefault(name.split("-")[0], []).append(name)
    with open_database(folder, making.memory) as database:
        if "raw" not in tables:
            target = folder / "raw.parquet"
            copy_to(
                database,
                "SELECT ''::VARCHAR AS file, 0::BIGINT AS row, ''::VARCHAR AS raw WHERE false",
                target,
            )
            tables["raw"] = [making.upload(dt, target, "raw.parquet")]
        if "bags" not in tables:
            reading = read_files(database, making.files, making.shape, folder, only=-1)
            supersede(database, reading, [], KINDS)
            joining = making.joining(database, reading)
            join(joining)
            for table, files in write_tables(joining, dt, folder, 1).items():
                tables[table] = [making.upload(dt, file, file.name) for file in files]
    return tables
