"""The unfit rows of a day as they came: their text, or their Parquet row as JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.ingest_logs.joining import Joining
from components.ingest_logs.reading import Reading, Source
from components.sql import copy_to, parquet

if TYPE_CHECKING:
    import duckdb


def write_raw(
    joining: Joining,
    checked: list[Path],
    rejected: list[Path],
    events: list[Path],
    target: Path,
) -> None:
    """Table (file, row, raw) of every row of these files that is unfit, by file and row."""
    database, reading = joining.database, joining.reading
    chosen = unfit_rows(checked, rejected, events)
    database.execute(f"CREATE OR REPLACE TABLE unfit_rows AS {chosen}")
    write_sources(database, reading, target)


def unfit_rows(checked: list[Path], rejected: list[Path], events: list[Path]) -> str:
    """SQL of (file, row) of every row of these files that is unfit."""
    return f"""
    SELECT f.file, r.row FROM (
        SELECT source_file AS path, source_row AS row FROM {parquet(checked)} WHERE unfit
        UNION SELECT file, row FROM {parquet(rejected)}
        UNION SELECT file, row FROM {parquet(events)} WHERE unfit
    ) r JOIN files f USING (path)
    """


def write_sources(database: "duckdb.DuckDBPyConnection", reading: Reading, target: Path) -> None:
    """Table (file, row, raw) of the rows of table `unfit_rows`, by file and row."""
    database.execute("CREATE OR REPLACE TABLE sources (file INTEGER, row BIGINT, raw VARCHAR)")
    for (number,) in database.execute("SELECT DISTINCT file FROM unfit_rows ORDER BY 1").fetchall():
        _insert(database, reading.sources[number], reading.files[number].local)
    copy_to(
        database,
        "SELECT path AS file, row, raw FROM sources JOIN files USING (file) ORDER BY path, row",
        target,
    )


def _insert(database: "duckdb.DuckDBPyConnection", source: Source, local: Path) -> None:
    chosen = f"(SELECT row FROM unfit_rows WHERE file = {source.number})"
    if source.line:
        lines = parquet(source.paths)
        database.execute(
            f"INSERT INTO sources SELECT file, row, line FROM {lines} WHERE row IN {chosen}"
        )
        return
    database.execute(
        f"""
        INSERT INTO sources
        SELECT {source.number}, file_row_number + 1,
               CAST(json_merge_patch(to_json(q), '{{"file_row_number": null}}') AS VARCHAR)
        FROM {parquet(local, ", file_row_number = true")} q WHERE file_row_number + 1 IN {chosen}
        """
    )
