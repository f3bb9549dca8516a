"""Fit bags and point-in-time features -> the training set and the elements table (DuckDB).

Features change at midnight only, so the join asks Feast once a day and element, not once a row.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.materialize_features.history import ELEMENT_FEATURES, KEY_SEPARATOR, element_key
from components.sql import parquet, quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


KEYS_AT_ONCE = 1_000_000  # (element, day) pairs that bags are joined with at a time


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
    spans = _spans(database)
    parts = [target.with_name(f"{n}.{target.name}") for n in range(len(spans))]
    for span, part in zip(spans, parts, strict=True):
        _copy(database, _rows(slots, split, span), part)
    if len(parts) == 1:
        parts[0].replace(target)
    else:
        _copy(database, f"FROM {parquet(parts)}", target)
        for part in parts:
            part.unlink()
    row = database.execute(
        f"SELECT count(*), count(*) FILTER ({split.held_out}), sum(clicks), sum(impressions) FROM bags"
    ).fetchone()
    assert row is not None
    return dict(zip(("bags", "held_out", "clicks", "impressions"), map(int, row), strict=True))


def _copy(database: "duckdb.DuckDBPyConnection", rows: str, target: Path) -> None:
    database.execute(
        f"COPY ({rows}) TO {quote(str(target))} "
        "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000)"
    )


def _spans(database: "duckdb.DuckDBPyConnection") -> list[tuple[str, str]]:
    """Days from (included) to (excluded), in order, with some KEYS_AT_ONCE keys or one day each.

    All slots' joins hold what they join with at once, so a long window goes span by span.
    """
    counted = database.execute(
        "SELECT CAST(day AS VARCHAR), count(*) FROM packed GROUP BY day ORDER BY day"
    ).fetchall()
    starts, filled = [""], 0
    for day, keys in counted:
        if filled and filled + keys > KEYS_AT_ONCE:
            starts.append(day)
            filled = 0
        filled += keys
    return list(zip(starts, [*starts[1:], "~"], strict=True))


def _rows(slots: tuple[str, ...], split: Split, span: tuple[str, str]) -> str:
    """SQL of the training rows of a span of days, in order."""
    joins = " ".join(_known(place, slot, span) for place, slot in enumerate(slots))
    known = ", ".join(f"h{place}.features" for place in range(len(slots)))
    first, end = map(quote, span)
    return f"""
        SELECT b.*, [{known}] AS history, ({split.held_out}) AS held_out
        FROM (SELECT * FROM bags WHERE ds >= {first} AND ds < {end}) b {joins}
        ORDER BY b.ds, b.shown_at, b.bag_id
    """


def _known(place: int, slot: str, span: tuple[str, str]) -> str:
    """SQL that joins what was known, on the bag's day, of the element in a slot."""
    shown = f"list_filter(b.creative, e -> e.slot = {quote(slot)})[1].element"
    key = element_key("b.product_id", quote(slot), shown)
    first, end = map(quote, span)
    inside = chr(KEY_SEPARATOR) + slot + chr(KEY_SEPARATOR)
    of_slot = (
        f"SELECT * FROM packed WHERE contains(element_key, {quote(inside)}) "
        f"AND CAST(day AS VARCHAR) >= {first} AND CAST(day AS VARCHAR) < {end}"
    )
    return (
        f"LEFT JOIN ({of_slot}) h{place} ON h{place}.day = CAST(b.ds AS DATE) "
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
