"""The unfit rows of a day as they came: their text, or their Parquet row as JSON."""

from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING

from components.ingest_logs.joining import Joining
from components.ingest_logs.reading import Reading
from components.sql import copy_to, parquet

if TYPE_CHECKING:
    import duckdb


def write_raw(
    joining: Joining,
    checked: list[Path],
    rejected: list[Path],
    events: list[Path],
    target: Path,
    threads: int | None = None,
) -> None:
    """Table (file, row, raw) of every row of these files that is unfit, by file and row."""
    database, reading = joining.database, joining.reading
    chosen = unfit_rows(checked, rejected, events)
    database.execute(f"CREATE OR REPLACE TABLE unfit_rows AS {chosen}")
    write_sources(database, reading, target, threads)


def unfit_rows(checked: list[Path], rejected: list[Path], events: list[Path]) -> str:
    """SQL of (file, row) of every row of these files that is unfit."""
    return f"""
    SELECT f.file, r.row FROM (
        SELECT source_file AS path, source_row AS row FROM {parquet(checked)} WHERE unfit
        UNION SELECT file, row FROM {parquet(rejected)}
        UNION SELECT file, row FROM {parquet(events)} WHERE unfit
    ) r JOIN files f USING (path)
    """


def write_sources(
    database: "duckdb.DuckDBPyConnection",
    reading: Reading,
    target: Path,
    threads: int | None = None,
) -> None:
    """Table (file, row, raw) of the rows of table `unfit_rows`, by file and row.

    Several files are read at a time: few of a file's rows are looked for, which keeps one thread
    of DuckDB busy at most.
    """
    database.execute("CREATE OR REPLACE TABLE sources (file INTEGER, row BIGINT, raw VARCHAR)")
    found = database.execute("SELECT DISTINCT file FROM unfit_rows ORDER BY 1").fetchall()
    with ThreadPoolExecutor(threads or cpu_count()) as workers:
        for done in [workers.submit(_insert, database, reading, number) for (number,) in found]:
            done.result()
    copy_to(
        database,
        "SELECT path AS file, row, raw FROM sources JOIN files USING (file) ORDER BY path, row",
        target,
    )


def _insert(database: "duckdb.DuckDBPyConnection", reading: Reading, number: int) -> None:
    chosen = f"(SELECT row FROM unfit_rows WHERE file = {number})"
    with database.cursor() as own:
        own.execute(f"INSERT INTO sources {_raw(reading, number, chosen)}")


def _raw(reading: Reading, number: int, chosen: str) -> str:
    """SQL of (file, row, raw) of a file's rows whose numbers are chosen."""
    source = reading.sources[number]
    if source.line:
        return f"SELECT file, row, line FROM {parquet(source.paths)} WHERE row IN {chosen}"
    numbered = parquet(reading.files[number].local, ", file_row_number = true")
    return f"""
    SELECT {number}, file_row_number + 1,
           CAST(json_merge_patch(to_json(q), '{{"file_row_number": null}}') AS VARCHAR)
    FROM {numbered} q WHERE file_row_number + 1 IN {chosen}
    """
