"""Fit bags and point-in-time features -> the training set and the elements table (DuckDB).

Features change at midnight only, so the join asks Feast once a day and element, not once a row.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.materialize_features.history import ELEMENT_FEATURES, element_key
from components.sql import quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class Split:
    """Which rows judge: SQL that is true for them, and how it was chosen, in words."""

    held_out: str
    says: str


def keys_to_join(database: "duckdb.DuckDBPyConnection") -> "pa.Table":
    """Distinct (element_key, event_timestamp at the start of the day) of the bags."""
    return database.execute(
        f"""
        SELECT DISTINCT {element_key("product_id", "slot", "element")} AS element_key,
               CAST(CAST(ds AS DATE) AS TIMESTAMPTZ) AS event_timestamp
        FROM (SELECT product_id, ds, unnest(creative, recursive := true) FROM bags)
        ORDER BY ALL
        """
    ).to_arrow_table()


def keys_at(database: "duckdb.DuckDBPyConnection", day: str) -> "pa.Table":
    """Every known element at the start of a day."""
    return database.execute(
        f"SELECT DISTINCT {element_key('product_id', 'slot', 'element_id')} AS element_key, "
        f"CAST(CAST({quote(day)} AS DATE) AS TIMESTAMPTZ) AS event_timestamp "
        "FROM elements ORDER BY ALL"
    ).to_arrow_table()


def first_judging_day(database: "duckdb.DuckDBPyConnection", split: Split) -> str:
    """The earliest day with held-out bags: what the judges may know ends where it starts."""
    row = database.execute(
        f"SELECT CAST(min(ds) AS VARCHAR) FROM bags WHERE {split.held_out}"
    ).fetchone()
    if row is not None and row[0] is not None:
        return row[0]
    last = database.execute("SELECT CAST(max(ds) AS VARCHAR) FROM bags").fetchone()
    assert last is not None
    return last[0]


def choose_split(
    database: "duckdb.DuckDBPyConnection", days: int | None, share: float | None
) -> Split:
    """The latest days judge, or the latest share of products; a fifth of clusters where too few."""
    if share is not None:
        return Split(
            f"product_id IN (SELECT product_id FROM (SELECT product_id, percent_rank() OVER "
            f"(ORDER BY min(shown_at), product_id) AS place FROM bags GROUP BY product_id) "
            f"WHERE place >= {1 - share})",
            f"the latest {share:.0%} of the products in order of their first display",
        )
    found = [r[0] for r in database.execute("SELECT DISTINCT ds FROM bags ORDER BY ds").fetchall()]
    if days is not None and len(found) > days:
        first = found[-days]
        return Split(f"ds >= {quote(first)}", f"the latest {days} days, from {first}")
    return Split(
        "hash(cluster_id) % 5 = 0",
        f"a fifth of the clusters, since the window holds {len(found)} days with data, no more "
        f"than the {days} to be held out",
    )


def write_training_set(
    database: "duckdb.DuckDBPyConnection", slots: tuple[str, ...], split: Split, target: Path
) -> dict[str, Any]:
    """The training set at `target`; returns its counts. Needs tables bags and history.

    Columns of the bags plus `history` (list by slot of the element's features, null where the
    slot is absent or nothing was known) and `held_out`.
    """
    names = ", ".join(ELEMENT_FEATURES)
    database.execute(
        f"CREATE TABLE packed AS SELECT element_key, CAST(event_timestamp AS DATE) AS day, "
        f"[{names}] AS features FROM history"
    )
    joins = " ".join(_known(place, slot) for place, slot in enumerate(slots))
    known = ", ".join(f"h{place}.features" for place in range(len(slots)))
    database.execute(
        f"""
        COPY (
            SELECT b.*, [{known}] AS history, ({split.held_out}) AS held_out
            FROM bags b {joins} ORDER BY b.ds, b.shown_at, b.bag_id
        ) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000)
        """
    )
    row = database.execute(
        f"SELECT count(*), count(*) FILTER ({split.held_out}), sum(clicks), sum(impressions) FROM bags"
    ).fetchone()
    assert row is not None
    return dict(zip(("bags", "held_out", "clicks", "impressions"), map(int, row), strict=True))


def _known(place: int, slot: str) -> str:
    """SQL that joins what was known, on the bag's day, of the element in a slot."""
    shown = f"list_filter(b.creative, e -> e.slot = {quote(slot)})[1].element"
    key = element_key("b.product_id", quote(slot), shown)
    return (
        f"LEFT JOIN packed h{place} ON h{place}.day = CAST(b.ds AS DATE) "
        f"AND h{place}.element_key = {key}"
    )


def write_elements(database: "duckdb.DuckDBPyConnection", target: Path) -> int:
    """Every known element with its newest content, `current`, its history at the end of ds, and
    `history_before`, at the start of the first day that judges."""
    key = element_key("e.product_id", "e.slot", "e.element_id")
    history, before = (
        f"CASE WHEN {t}.weight_1 IS NULL THEN NULL "
        f"ELSE [{', '.join(f'{t}.{name}' for name in ELEMENT_FEATURES)}] END"
        for t in ("h", "b")
    )
    database.execute(
        f"""
        COPY (
            SELECT e.*, {history} AS history, {before} AS history_before
            FROM elements e LEFT JOIN latest h ON h.element_key = {key}
            LEFT JOIN before b ON b.element_key = {key}
            ORDER BY product_id, slot, element_id
        ) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd)
        """
    )
    row = database.execute("SELECT count(*) FROM elements").fetchone()
    return int(row[0]) if row else 0
