"""Typed log rows -> each day's tables, in passes that hold no day's rows (SQL on DuckDB).

First what could not be read, then which ids occur more than once, then every display that has a
repeat or an event, ranked, with its clicks and conversions. These tables are small beside the
logs. With them a day is written in two passes over its files: what the rules say of every
display (`checked`), then the fit displays as bags.

Tables: rejected (a log row that could not be read), ranked, clicks_ranked, conversions_ranked,
click, conversion, duplicates, users_<day> and not_allowed_<day>.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.ingest_logs.attribution import Windows, attribute
from components.ingest_logs.flagging import (
    creative_list,
    flagged,
    not_allowed,
    shown,
    users,
)
from components.ingest_logs.reading import Reading
from components.sql import quote
from validation.contract import LOGS, Rule

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Joining:
    """A database with what was read, and the rules that hold.

    days: every day that was read. lists: whether the catalog restricts combinations. waived:
    rule -> numbers of the files whose rows it does not bind (release.py).
    """

    database: "duckdb.DuckDBPyConnection"
    reading: Reading
    days: list[str]
    windows: Windows
    rules: tuple[Rule, ...]
    waived: Mapping[str, list[int]]
    lists: bool

    def shown(self, days: list[str]) -> str:
        return shown(self.reading.rows("impressions", days), self.reading.rows("aggregates", days))

    def flagged(self, dt: str, source: str) -> str:
        """Displays of one day with what the rules say; its users and lists become current."""
        named = dt.replace("-", "")
        self.database.execute(f"CREATE OR REPLACE VIEW users AS SELECT * FROM users_{named}")
        if self.lists:
            self.database.execute(
                f"CREATE OR REPLACE VIEW not_allowed AS SELECT * FROM not_allowed_{named}"
            )
        return flagged(source, self.reading.shape, self.rules, self.waived, self.lists)


def join(joining: Joining) -> None:
    """Makes the tables that every day needs."""
    database, reading, days = joining.database, joining.reading, joining.days
    database.execute(_REJECTED)
    for kind in LOGS:
        identity = "impression_id" if kind == "impressions" else "NULL"
        database.execute(
            f"INSERT INTO rejected SELECT '{kind}', file, row, dt, problems, {identity} "
            f"FROM {reading.rows(kind, days)} WHERE NOT readable"
        )
    events = [reading.rows(kind, days) for kind in ("clicks", "conversions")]
    database.execute(
        "CREATE TABLE repeated AS SELECT h FROM (SELECT hash(impression_id) AS h "
        f"FROM {reading.rows('impressions', days)}) GROUP BY h HAVING count(*) > 1"
    )
    ids = " UNION ".join(f"SELECT hash(impression_id) AS h FROM {one}" for one in events)
    database.execute(f"CREATE TABLE wanted AS SELECT h FROM repeated UNION {ids}")
    database.execute(_CANDIDATES)
    for dt in days:
        _of_day(joining, dt)
    database.execute(_RANKED)
    for statement in attribute(*events, joining.windows):
        database.execute(statement)
    database.execute(_DUPLICATES)


_REJECTED = """
    CREATE TABLE rejected (kind VARCHAR, file INTEGER, row BIGINT, dt VARCHAR,
        reasons STRUCT(rule VARCHAR, message VARCHAR)[], impression_id VARCHAR)
"""
_CANDIDATES = """
    CREATE TABLE candidates (kind VARCHAR, file INTEGER, row BIGINT, dt VARCHAR, bag_id VARCHAR,
        shown_at TIMESTAMP, unfit BOOLEAN)
"""
# The best copy of an id is kept: a fit one before an unfit one, then the earliest.
_RANKED = """
    CREATE TABLE ranked AS
    SELECT *, row_number() OVER (PARTITION BY bag_id ORDER BY unfit, dt, file, row) AS copy
    FROM candidates
"""
_DUPLICATES = """
    CREATE TABLE duplicates AS
    SELECT file, row, dt FROM ranked WHERE copy > 1
    UNION ALL SELECT file, row, dt FROM clicks_ranked WHERE reason IS NULL AND copy > 1
    UNION ALL SELECT file, row, dt FROM conversions_ranked WHERE reason IS NULL AND copy > 1
    UNION ALL SELECT file, row, dt FROM superseded
"""


def _of_day(joining: Joining, dt: str) -> None:
    """Users and unlisted combinations of a day, and its displays that have a repeat or an event."""
    database, named, source = joining.database, dt.replace("-", ""), joining.shown([dt])
    database.execute(f"CREATE TABLE users_{named} AS {users(source)}")
    if joining.lists:
        slots = joining.reading.shape.slots
        database.execute(f"CREATE TABLE not_allowed_{named} AS {not_allowed(source, slots)}")
    some = f"(SELECT * FROM {source} WHERE hash(bag_id) IN (SELECT h FROM wanted))"
    database.execute(
        "INSERT INTO candidates SELECT kind, file, row, dt, bag_id, shown_at, unfit "
        f"FROM {joining.flagged(dt, some)}"
    )


def write_checked(joining: Joining, dt: str, target: Path) -> None:
    """Every display of the day but repeats, with what the rules look at, in order of its file.

    Table `left_out` holds the rows of the day that do not become bags.
    """
    database = joining.database
    losers = f"SELECT file, row FROM ranked WHERE copy > 1 AND dt = {quote(dt)}"
    select = f"""
    SELECT s.dt AS ds, s.shown_at, s.product_id, s.propensity, s.impressions,
           {_OUTCOME}, s.in_day, s.elements_shown, s.unknown_slots, s.unknown_elements,
           s.not_allowed, s.user_impressions, s.missing_context, s.unfit,
           f.path AS source_file, s.row AS source_row
    FROM (SELECT * FROM {joining.flagged(dt, joining.shown([dt]))} ANTI JOIN ({losers})
          USING (file, row)) s
    LEFT JOIN click c USING (bag_id) LEFT JOIN conversion v USING (bag_id)
    LEFT JOIN (SELECT file, path FROM files) f USING (file)
    """
    copy_to(database, select, target)
    database.execute(
        f"CREATE OR REPLACE TABLE left_out AS {losers} UNION ALL SELECT f.file, source_row "
        f"FROM read_parquet({quote(str(target))}) JOIN files f ON f.path = source_file WHERE unfit"
    )


_OUTCOME = """
    CASE s.kind WHEN 'aggregates' THEN s.clicks ELSE coalesce(c.clicks, 0) END AS clicks,
    CASE s.kind WHEN 'aggregates' THEN s.conversions ELSE coalesce(v.conversions, 0) END
        AS conversions,
    CASE s.kind WHEN 'aggregates' THEN s.value ELSE coalesce(v.value, 0) END AS value
"""


def write_bags(joining: Joining, dt: str, target: Path) -> None:
    """The day's fit displays with their outcomes, in order of their file (CONTRACT 3)."""
    windows = joining.windows
    end = f"epoch(TIMESTAMP {quote(windows.as_of)})"
    select = f"""
    SELECT s.bag_id, s.dt AS ds, s.shown_at, s.product_id,
           coalesce(s.user_id, s.product_id) AS cluster_id, s.context,
           {creative_list(joining.reading.shape.slots)} AS creative, s.propensity,
           coalesce(s.policy, 'unknown') AS policy, s.impressions, {_OUTCOME},
           epoch(s.shown_at) + {windows.click_hours} * 3600 <= {end} AS click_mature,
           epoch(s.shown_at) + {windows.conversion_days} * 86400 <= {end} AS conversion_mature,
           c.clicked_at
    FROM (SELECT * FROM {joining.shown([dt])} ANTI JOIN left_out USING (file, row)) s
    LEFT JOIN click c USING (bag_id) LEFT JOIN conversion v USING (bag_id)
    """
    copy_to(joining.database, select, target)


def write_rejected(joining: Joining, dt: str, target: Path) -> None:
    """Log rows of the day that are neither a display nor an event of one, with their reasons."""
    none = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, file, row, [reason] AS reasons FROM {kind}_ranked "
        f"WHERE reason IS NOT NULL AND dt = {quote(dt)}"
        for kind in ("clicks", "conversions")
    )
    select = f"""
    SELECT r.kind, path AS file, r.row, f.dt, r.reasons FROM (
        SELECT kind, file, row, reasons FROM rejected WHERE dt = {quote(dt)} UNION ALL {none}
    ) r JOIN files f USING (file) ORDER BY r.kind, path, r.row
    """
    copy_to(joining.database, select, target)


def write_events(joining: Joining, dt: str, target: Path) -> None:
    """Clicks and conversions of the day that count, with their bags."""
    attributed = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, file, row, bag_id, bag_dt, unfit FROM {kind}_ranked "
        f"WHERE reason IS NULL AND copy = 1 AND dt = {quote(dt)}"
        for kind in ("clicks", "conversions")
    )
    copy_to(
        joining.database,
        f"SELECT e.kind, path AS file, e.row, f.dt, e.bag_id, e.bag_dt, e.unfit "
        f"FROM ({attributed}) e JOIN files f USING (file) ORDER BY e.kind, path, e.row",
        target,
    )


def copy_to(database: "duckdb.DuckDBPyConnection", select: str, target: Path) -> None:
    database.execute(f"COPY ({select}) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd)")
