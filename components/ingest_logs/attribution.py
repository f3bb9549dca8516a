"""Clicks and conversions -> the displays that they belong to, or why they belong to none (SQL).

Tables in: ranked (a row a display that has an event or a repeat), rejected.
Tables out, for word in click, conversion:
    <kind>_ranked  every event that could be read, with its bag or the reason, and its copy
    <word>         what a bag gets: bag_id, count, first time and, of conversions, summed value
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Windows:
    """Attribution windows, and the end of what is known (exclusive, a timestamp)."""

    click_hours: float
    conversion_days: float
    as_of: str


def attribute(clicks: str, conversions: str, windows: Windows) -> tuple[str, ...]:
    """Statements that make the tables, from relations of typed events."""
    return (
        _ranked("clicks", clicks, "clicked_at", f"{windows.click_hours} * 3600", "click"),
        _ranked(
            "conversions",
            conversions,
            "converted_at",
            f"{windows.conversion_days} * 86400",
            "conversion",
        ),
        "CREATE TABLE click AS SELECT bag_id, count(*) AS clicks, min(clicked_at) AS clicked_at "
        "FROM clicks_ranked WHERE reason IS NULL AND copy = 1 GROUP BY bag_id",
        "CREATE TABLE conversion AS SELECT bag_id, count(*) AS conversions, "
        "sum(coalesce(value, 0) ORDER BY converted_at, value) AS value, "
        "min(converted_at) AS converted_at "
        "FROM conversions_ranked WHERE reason IS NULL AND copy = 1 GROUP BY bag_id",
    )


def _ranked(kind: str, events: str, at: str, window: str, word: str) -> str:
    again = "impression_id" if kind == "clicks" else f"impression_id, {at}, value"
    copies = f"PARTITION BY reason IS NULL, {again} ORDER BY {at}, dt, file, row"
    value = "e.value" if kind == "conversions" else "NULL::DOUBLE"
    return f"""
    CREATE TABLE {kind}_ranked AS
    SELECT *, row_number() OVER ({copies}) AS copy FROM (
    SELECT e.file, e.row, e.dt, e.impression_id, e.{at}, {value} AS value, b.bag_id,
           b.dt AS bag_dt, b.unfit,
        CASE
          WHEN b.bag_id IS NULL AND q.impression_id IS NOT NULL THEN
            {{'rule': 'unusable', 'message': 'its impression ' || e.impression_id || ' is quarantined'}}
          WHEN b.bag_id IS NULL THEN
            {{'rule': 'orphan', 'message': 'no impression has the id ' || e.impression_id}}
          WHEN e.{at} < b.shown_at THEN
            {{'rule': 'before', 'message': '{word} at ' || e.{at} || ' before its impression at ' || b.shown_at}}
          WHEN epoch(e.{at}) - epoch(b.shown_at) > {window} THEN
            {{'rule': 'window', 'message': '{word} at ' || e.{at} || ' after the attribution window of its impression at ' || b.shown_at}}
        END AS reason
    FROM (SELECT * FROM {events} ANTI JOIN rejected USING (file, row)) e
    LEFT JOIN ranked b ON b.bag_id = e.impression_id AND b.copy = 1 AND b.kind = 'impressions'
    LEFT JOIN (SELECT DISTINCT impression_id FROM rejected WHERE kind = 'impressions') q
           ON q.impression_id = e.impression_id)
    """
