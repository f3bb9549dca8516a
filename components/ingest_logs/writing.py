"""A day's tables as Parquet files, part by part.

DuckDB writes the rows of a join in any order where several threads write them. So a day is
written in parts of whole files, each by one thread that keeps their order, several at a time: the
bytes are the same each time, and nothing is sorted.
"""

from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

from components.ingest_logs.flagging import creative_list
from components.ingest_logs.joining import Joining
from components.sql import copy_to, parquet, quote


def write_tables(
    joining: Joining, dt: str, folder: Path, threads: int | None = None
) -> dict[str, list[Path]]:
    """Files of each table of the day: checked, bags, rejected and events."""
    parts = joining.parts(dt)
    files: dict[str, list[Path]] = {
        table: [folder / f"{table}-{part:04d}.parquet" for part in range(len(parts))]
        for table in ("checked", "bags")
    }
    with ThreadPoolExecutor(threads or cpu_count()) as workers:
        written = [
            workers.submit(write_part, joining, dt, numbers, checked, bags)
            for numbers, checked, bags in zip(parts, files["checked"], files["bags"], strict=True)
        ]
        for part in written:
            part.result()
    rejected, events = folder / "rejected.parquet", folder / "events.parquet"
    write_rejected(joining, dt, rejected)
    write_events(joining, dt, events)
    return files | {"rejected": [rejected], "events": [events]}


def write_part(joining: Joining, dt: str, numbers: list[int], checked: Path, bags: Path) -> None:
    """Every display of these files but repeats, with what the rules look at, and the fit as bags.

    Both are in the order of the files' rows.
    """
    with joining.database.cursor() as database:
        among = ", ".join(map(str, numbers)) or "NULL"
        losers = f"SELECT file, row FROM ranked WHERE copy > 1 AND file IN ({among})"
        copy_to(database, _checked(joining, dt, numbers, losers), checked)
        unfit = (
            f"SELECT f.file, source_row AS row FROM {parquet(checked)} JOIN files f "
            "ON f.path = source_file WHERE unfit"
        )
        copy_to(database, _bags(joining, numbers, f"{losers} UNION ALL {unfit}"), bags)


def _checked(joining: Joining, dt: str, numbers: list[int], losers: str) -> str:
    return f"""
    SELECT s.dt AS ds, s.shown_at, s.product_id, s.propensity, s.impressions,
           {_OUTCOME}, s.in_day, s.elements_shown, s.unknown_slots, s.unknown_elements,
           s.not_allowed, s.user_impressions, s.missing_context, s.test_traffic,
           s.unfit,
           f.path AS source_file, s.row AS source_row
    FROM (SELECT * FROM {joining.flagged(dt, joining.shown(numbers))} ANTI JOIN ({losers})
          USING (file, row)) s
    {_EVENTS} LEFT JOIN (SELECT file, path FROM files) f USING (file)
    """


_EVENTS = "LEFT JOIN click c USING (bag_id) LEFT JOIN conversion v USING (bag_id)"
_OUTCOME = """
    CASE s.kind WHEN 'aggregates' THEN s.clicks ELSE coalesce(c.clicks, 0) END AS clicks,
    CASE s.kind WHEN 'aggregates' THEN s.conversions ELSE coalesce(v.conversions, 0) END
        AS conversions,
    CASE s.kind WHEN 'aggregates' THEN s.value ELSE coalesce(v.value, 0) END AS value
"""


def _bags(joining: Joining, numbers: list[int], left_out: str) -> str:
    """SQL of CONTRACT 3's bags."""
    windows = joining.windows
    end = f"epoch(TIMESTAMP {quote(windows.as_of)})"
    return f"""
    SELECT s.bag_id, s.dt AS ds, s.shown_at, s.product_id,
           coalesce(s.user_id, s.product_id) AS cluster_id, s.context,
           {creative_list(joining.reading.shape.slots)} AS creative, s.propensity,
           coalesce(s.policy, 'unknown') AS policy, s.impressions, {_OUTCOME},
           epoch(s.shown_at) + {windows.click_hours} * 3600 <= {end} AS click_mature,
           epoch(s.shown_at) + {windows.conversion_days} * 86400 <= {end} AS conversion_mature,
           c.clicked_at, v.converted_at
    FROM (SELECT * FROM {joining.shown(numbers)} ANTI JOIN ({left_out}) USING (file, row)) s
    {_EVENTS}
    """


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
