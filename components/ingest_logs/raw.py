"""The unfit rows as they came: their text, or their Parquet row as JSON."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.ingest_logs.inputs import LogFile
from components.ingest_logs.reading import is_json
from components.sql import parquet, quote

if TYPE_CHECKING:
    import duckdb

_WANTED = """
    CREATE TABLE wanted AS
    SELECT source_file AS file, source_row AS row FROM raw_bags WHERE unfit
    UNION SELECT file, row FROM rejected
    UNION SELECT file, row FROM events WHERE unfit
"""


def keep_raw(
    database: "duckdb.DuckDBPyConnection", files: list[LogFile], unreadable: Mapping[str, str]
) -> None:
    """Column `raw` of raw_bags, rejected and events holds the source row where it is unfit."""
    database.execute(_WANTED)
    database.execute(
        "CREATE TABLE sources AS SELECT file, row, line AS raw FROM lines "
        "JOIN wanted USING (file, row)"
    )
    named = {row[0] for row in database.execute("SELECT DISTINCT file FROM wanted").fetchall()}
    for file in files:
        if file.path in named and not is_json(file) and file.path not in unreadable:
            database.execute(_parquet_rows(file))
    database.execute(
        "UPDATE raw_bags SET raw = s.raw FROM sources s "
        "WHERE unfit AND source_file = s.file AND source_row = s.row"
    )
    for table in ("rejected", "events"):
        database.execute(
            f"UPDATE {table} SET raw = s.raw FROM sources s "
            f"WHERE {table}.file = s.file AND {table}.row = s.row"
        )


def _parquet_rows(file: LogFile) -> str:
    path = quote(file.path)
    return f"""
    INSERT INTO sources
    SELECT {path}, file_row_number + 1,
           CAST(json_merge_patch(to_json(q), '{{"file_row_number": null}}') AS VARCHAR)
    FROM {parquet(file.local, ", file_row_number = true")} q
    WHERE file_row_number + 1 IN (SELECT row FROM wanted WHERE file = {path})
    """
