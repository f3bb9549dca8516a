"""What ingest wrote of a day, as views, and the quarantine made of it.

The fit bags are published where ingest wrote them: they are that attempt's, and complete.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from components.day import Day, attempt_path
from components.ingest_logs.stage import NAME as INGEST
from components.manifests import table_entry
from components.sql import copy_to, parquet, quote
from validation.contract import Rule, fingerprint
from validation.quarantine import reasons_sql

if TYPE_CHECKING:
    import duckdb


def ingested(day: Day, dt: str, attempt: str, table: str) -> list[Path]:
    """Local files of a table that ingest wrote for a day's attempt."""
    return [day.storage().fetch(path) for path in _paths(day, dt, attempt, table)]


def _paths(day: Day, dt: str, attempt: str, table: str) -> list[str]:
    place = f"{attempt_path(dt, attempt)}/{INGEST}"
    return [f"{place}/{f}" for f in json.loads(day.storage().read(f"{place}/tables.json"))[table]]


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
    storage = day.storage()
    local = folder / "quarantine.parquet"
    copy_to(database, "SELECT * FROM quarantine ORDER BY source_file, row", local)
    quarantine = f"{place}/quarantine.parquet"
    storage.upload(local, quarantine)
    rows = pq.read_metadata(local).num_rows
    bags = [(path, storage.fetch(path)) for path in _paths(day, dt, attempt, "bags")]
    return {
        "bags": [table_entry(file, path, pq.read_metadata(file).num_rows) for path, file in bags],
        "quarantine": [table_entry(local, quarantine, rows)],
    }
