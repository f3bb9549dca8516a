"""Typed log rows -> each day's tables, in passes that hold no day's rows (SQL on DuckDB).

First what could not be read, then which ids occur more than once, then every display that has a
repeat or an event, ranked, with its clicks and conversions. These tables are small beside the
logs. With them a part of a day is written in two passes over its files: what the rules say of
every display (`checked`), then the fit displays as bags.

Tables: rejected (a log row that could not be read), ranked, clicks_ranked, conversions_ranked,
click, conversion, duplicates, users_<day> and not_allowed_<day>.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.ingest_logs.attribution import Windows, attribute
from components.ingest_logs.flagging import (
    day_name,
    flagged,
    not_allowed,
    shown,
    users,
)
from components.ingest_logs.reading import Reading
from components.ingest_logs.traffic import test_traffic_sql
from components.sql import quote
from validation.contract import LOGS, Rule

if TYPE_CHECKING:
    import duckdb


PART_ROWS = 1_000_000


@dataclass(frozen=True)
class Joining:
    """A database with what was read, and the rules that hold.

    lists: whether the catalog restricts combinations. waived:
    rule -> numbers of the files whose rows it does not bind (release.py). busy: table (dt,
    user_id, displays) of users with many, where these rows alone do not tell. test_traffic:
    column -> patterns (traffic.py).
    """

    database: "duckdb.DuckDBPyConnection"
    reading: Reading
    windows: Windows
    rules: tuple[Rule, ...]
    waived: Mapping[str, list[int]]
    lists: bool
    test_traffic: Mapping[str, tuple[str, ...]]
    busy: str | None = None

    def shown(self, numbers: list[int]) -> str:
        """SQL of the displays of these files."""
        rows = self.reading.rows
        return shown(rows("impressions", numbers), rows("aggregates", numbers))

    def parts(self, dt: str) -> list[list[int]]:
        """Numbers of the day's files of displays, in order, some PART_ROWS rows together."""
        parts: list[list[int]] = [[]]
        filled = 0
        for number in self.reading.of_day(dt, ("impressions", "aggregates")):
            if filled >= PART_ROWS:
                parts.append([])
                filled = 0
            parts[-1].append(number)
            filled += self.reading.sources[number].rows
        return parts

    def flagged(self, dt: str, source: str) -> str:
        """SQL of these displays of a day with what the rules say."""
        shape, test = self.reading.shape, test_traffic_sql(self.test_traffic)
        return flagged(source, dt, shape, self.rules, self.waived, self.lists, test)


def join(joining: Joining) -> None:
    """Makes the tables that every day needs."""
    database, reading = joining.database, joining.reading
    database.execute(_REJECTED)
    for kind in LOGS:
        identity = "impression_id" if kind == "impressions" else "NULL"
        database.execute(
            f"INSERT INTO rejected SELECT '{kind}', file, row, dt, problems, {identity} "
            f"FROM {reading.rows(kind)} WHERE NOT readable"
        )
    events = [reading.rows(kind) for kind in ("clicks", "conversions")]
    database.execute(
        "CREATE TABLE repeated AS SELECT h FROM (SELECT hash(impression_id) AS h "
        f"FROM {reading.rows('impressions')}) GROUP BY h HAVING count(*) > 1"
    )
    ids = " UNION ".join(f"SELECT hash(impression_id) AS h FROM {one}" for one in events)
    database.execute(f"CREATE TABLE wanted AS SELECT h FROM repeated UNION {ids}")
    database.execute(_CANDIDATES)
    for dt in sorted({source.dt for source in reading.sources.values()}):
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
    database, named = joining.database, day_name(dt)
    source = joining.shown(joining.reading.of_day(dt))
    known = f"SELECT user_id, displays FROM {joining.busy} WHERE dt = {quote(dt)}"
    counted = known if joining.busy else users(source, joining.rules)
    database.execute(f"CREATE TABLE users_{named} AS {counted}")
    if joining.lists:
        slots = joining.reading.shape.slots
        database.execute(f"CREATE TABLE not_allowed_{named} AS {not_allowed(source, slots)}")
    some = f"(SELECT * FROM {source} WHERE hash(bag_id) IN (SELECT h FROM wanted))"
    database.execute(
        "INSERT INTO candidates SELECT kind, file, row, dt, bag_id, shown_at, unfit "
        f"FROM {joining.flagged(dt, some)}"
    )
