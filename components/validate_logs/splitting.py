"""What ingest wrote of a day, as views, and the quarantine made of it.

The fit bags are published where ingest wrote them: they are that attempt's, and complete.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.day import Day, attempt_path
from components.ingest_logs.stage import NAME as INGEST
from components.manifests import table_entry
from components.sql import parquet, quote
from validation.contract import Rule, fingerprint
from validation.quarantine import reasons_sql

if TYPE_CHECKING:
    import duckdb


def ingested(day: Day, dt: str, attempt: str, table: str) -> Path:
    """A local file of a table that ingest wrote for a day's attempt."""
    return day.storage().fetch(f"{attempt_path(dt, attempt)}/{INGEST}/{table}.parquet")


def split_day(
    database: "duckdb.DuckDBPyConnection",
    day: Day,
    dt: str,
    attempt: str,
    rules: tuple[Rule, ...],
) -> None:
    """Views `bags` (the fit ones), `raw_bags` (what the rules look at of every display), `events`
    and `rejected` of one day, and its table `quarantine`."""
    named = {"checked": "raw_bags"}
    for table in ("bags", "checked", "events", "rejected", "raw"):
        source = parquet(ingested(day, dt, attempt, table))
        database.execute(f"CREATE VIEW {named.get(table, table)} AS SELECT * FROM {source}")
    rule_set = quote(fingerprint(rules))
    withdrawn = "[{'rule': 'unusable', 'message': 'its impression is quarantined'}]"
    database.execute(
        f"""
        CREATE TABLE quarantine AS
        SELECT raw, file AS source_file, row, reasons, {rule_set} AS rule_set, product_id FROM (
            SELECT source_file AS file, source_row AS row, {reasons_sql(rules)} AS reasons,
                   product_id
            FROM raw_bags WHERE unfit
            UNION ALL SELECT file, row, reasons, NULL FROM rejected
            UNION ALL SELECT file, row, {withdrawn}, NULL FROM events WHERE unfit
        ) LEFT JOIN raw USING (file, row)
        """
    )


def publish_split(
    database: "duckdb.DuckDBPyConnection",
    day: Day,
    dt: str,
    attempt: str,
    place: str,
    folder: Path,
) -> dict[str, list[dict[str, Any]]]:
    """The manifest's entries of the fit bags and of the quarantine, which is written now."""
    bags = f"{attempt_path(dt, attempt)}/{INGEST}/bags.parquet"
    local = folder / "quarantine.parquet"
    database.execute(
        f"COPY (SELECT * FROM quarantine ORDER BY source_file, row) TO {quote(str(local))} "
        "(FORMAT parquet, COMPRESSION zstd)"
    )
    quarantine = f"{place}/quarantine.parquet"
    day.storage().upload(local, quarantine)
    return {
        "bags": [table_entry(day.storage().fetch(bags), bags, _rows(database, "bags"))],
        "quarantine": [table_entry(local, quarantine, _rows(database, "quarantine"))],
    }


def _rows(database: "duckdb.DuckDBPyConnection", table: str) -> int:
    row = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return row[0] if row else 0
