"""Typed log rows -> raw bags, links from events to bags, and rejected rows (SQL on DuckDB).

Tables in: impressions, clicks, conversions, aggregates (reading.py), known, allowed, forbidden.
Tables out:
    raw_bags   one row a display or aggregate row that could be read, with its outcome and flags
    events     one row a click or conversion that was attributed, with its bag
    rejected   one row a log row that could not be used, with its reasons
    duplicates one row a repeated row
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.sql import quote
from validation.contract import Rule

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Windows:
    """Attribution windows, and the end of what is known (exclusive, a timestamp)."""

    click_hours: float
    conversion_days: float
    as_of: str


def join(
    database: "duckdb.DuckDBPyConnection",
    slots: tuple[str, ...],
    context: Mapping[str, str],
    windows: Windows,
    rules: tuple[Rule, ...],
    waived: Mapping[str, tuple[str, ...]],
) -> None:
    """Creates raw_bags, events, rejected and duplicates from the typed tables.

    waived: rule -> files whose rows it does not bind (release.py).
    """
    unfit = " OR ".join(
        _binding(rule, waived.get(rule.id, ())) for rule in rules if rule.severity != "warn"
    )
    for statement in (
        _shown(),
        _creatives(slots),
        _flagged(slots, context),
        _ranked(unfit),
        *_attributed("clicks", "clicked_at", f"{windows.click_hours} * 3600", "click"),
        *_attributed(
            "conversions", "converted_at", f"{windows.conversion_days} * 86400", "conversion"
        ),
        _raw_bags(windows),
        *_leavings(),
    ):
        database.execute(statement)


def _binding(rule: Rule, waived: tuple[str, ...]) -> str:
    if not waived:
        return rule.violated()
    return f"({rule.violated()} AND file NOT IN ({', '.join(quote(file) for file in waived)}))"


def _shown() -> str:
    return """
    CREATE TABLE shown AS
    SELECT 'impressions' AS kind, file, row, dt, impression_id AS bag_id, shown_at, product_id,
           user_id, context, creative, propensity, policy,
           1::BIGINT AS impressions, 0::BIGINT AS clicks, 0::BIGINT AS conversions, 0.0 AS value
    FROM impressions WHERE len(problems) = 0
    UNION ALL
    SELECT 'aggregates', file, row, dt, 'a-' || md5(file || ':' || row), shown_at, product_id,
           NULL, context, creative, propensity, policy,
           impressions, coalesce(clicks, 0), coalesce(conversions, 0), coalesce(value, 0.0)
    FROM aggregates WHERE len(problems) = 0
    """


_KEY = (
    "array_to_string(list_sort(list_transform(list_filter(map_entries({c}), "
    "e -> e.value IS NOT NULL), e -> e.key || chr(31) || e.value)), chr(30))"
)


def creative_key(column: str) -> str:
    """SQL of a text that is equal for equal combinations (a MAP slot -> element)."""
    return _KEY.format(c=column)


def _creatives(slots: tuple[str, ...]) -> str:
    """Each distinct combination of a product once, with what is wrong with it."""
    known_slots = "[" + ", ".join(quote(slot) for slot in slots) + "]"
    in_order = ", ".join(
        f"{{'slot': {quote(s)}, 'element': any_value(creative)[{quote(s)}]}}" for s in slots
    )
    return f"""
    CREATE TABLE creatives AS
    WITH distinct_creatives AS (
        SELECT product_id, {creative_key("creative")} AS key, any_value(creative) AS shown,
               list_filter([{in_order}], e -> e.element IS NOT NULL) AS creative
        FROM shown GROUP BY ALL
    ), entries AS (
        SELECT product_id, key, e.key AS slot, e.value AS element
        FROM (SELECT product_id, key, unnest(map_entries(shown)) AS e FROM distinct_creatives)
        WHERE e.value IS NOT NULL
    ), faults AS (
        SELECT entries.product_id, entries.key,
               string_agg(entries.slot, ', ' ORDER BY entries.slot)
                   FILTER (NOT list_contains({known_slots}, entries.slot))
                   AS unknown_slots,
               string_agg(entries.slot || '=' || element, ', ' ORDER BY entries.slot)
                   FILTER (list_contains({known_slots}, entries.slot) AND k.element_id IS NULL)
                   AS unknown_elements
        FROM entries LEFT JOIN known k
          ON k.product_id = entries.product_id AND k.slot = entries.slot
             AND k.element_id = entries.element
        GROUP BY ALL
    ), unlisted AS (
        SELECT product_id, key FROM distinct_creatives
        WHERE product_id IN (SELECT product_id FROM allowed)
          AND (product_id, key) NOT IN (SELECT (product_id, key) FROM allowed)
    ), clashing AS (
        SELECT a.product_id, a.key,
               any_value(a.slot || '=' || a.element || ' with ' || b.slot || '=' || b.element) AS pair
        FROM forbidden f
        JOIN entries a ON a.slot = f.slot_a AND a.element = f.element_a
             AND (f.product_id IS NULL OR f.product_id = a.product_id)
        JOIN entries b ON b.product_id = a.product_id AND b.key = a.key
             AND b.slot = f.slot_b AND b.element = f.element_b
        GROUP BY ALL
    )
    SELECT d.product_id, d.key, d.creative, len(d.creative)::BIGINT AS elements_shown,
           unknown_slots, unknown_elements,
           CASE WHEN u.key IS NOT NULL THEN 'not in the allow-list of the product'
                WHEN c.key IS NOT NULL THEN 'forbidden together: ' || c.pair END AS not_allowed
    FROM distinct_creatives d
    LEFT JOIN faults USING (product_id, key)
    LEFT JOIN unlisted u USING (product_id, key)
    LEFT JOIN clashing c USING (product_id, key)
    """


def _flagged(slots: tuple[str, ...], context: Mapping[str, str]) -> str:
    missing = [
        f"CASE WHEN s.context[{quote(key)}] IS NULL THEN {quote(key)} END" for key in context
    ]
    named = f"array_to_string(list_filter([{', '.join(missing)}], f -> f IS NOT NULL), ', ')"
    missing_context = f"nullif({named}, '')" if missing else "NULL::VARCHAR"
    return f"""
    CREATE TABLE flagged AS
    SELECT s.* EXCLUDE (creative), c.creative, c.elements_shown, c.unknown_slots,
           c.unknown_elements, c.not_allowed, CAST(s.shown_at AS DATE) = CAST(s.dt AS DATE) AS in_day,
           u.displays AS user_impressions, {missing_context} AS missing_context
    FROM shown s JOIN creatives c
      ON c.product_id = s.product_id AND c.key = {creative_key("s.creative")}
    LEFT JOIN (SELECT dt, user_id, count(DISTINCT bag_id) AS displays FROM shown
               WHERE user_id IS NOT NULL GROUP BY ALL) u
      ON u.dt = s.dt AND u.user_id = s.user_id
    """


def _ranked(unfit: str) -> str:
    """The best copy of an id is kept: a fit one before an unfit one, then the earliest."""
    return f"""
    CREATE TABLE ranked AS
    SELECT *, row_number() OVER (
        PARTITION BY bag_id ORDER BY unfit, dt, file, row) AS copy
    FROM (SELECT *, ({unfit}) AS unfit FROM flagged)
    """


def _attributed(kind: str, at: str, window: str, word: str) -> tuple[str, str]:
    """Every event with the bag that it belongs to, or the reason why it belongs to none."""
    again = "impression_id" if kind == "clicks" else f"impression_id, {at}, value"
    copies = f"PARTITION BY reason IS NULL, {again} ORDER BY {at}, dt, file, row"
    value = "e.value" if kind == "conversions" else "NULL::DOUBLE"
    seen = f"""
    CREATE TABLE seen_{kind} AS
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
    FROM {kind} e
    LEFT JOIN ranked b ON b.bag_id = e.impression_id AND b.copy = 1 AND b.kind = 'impressions'
    LEFT JOIN (SELECT DISTINCT impression_id FROM impressions WHERE len(problems) > 0) q
           ON q.impression_id = e.impression_id
    WHERE len(e.problems) = 0
    """
    ranked = f"""
    CREATE TABLE {kind}_ranked AS
    SELECT *, row_number() OVER ({copies}) AS copy FROM seen_{kind}
    """
    return seen, ranked


def _raw_bags(windows: Windows) -> str:
    as_of = f"TIMESTAMP {quote(windows.as_of)}"
    return f"""
    CREATE TABLE raw_bags AS
    WITH click AS (
        SELECT bag_id, count(*) AS clicks, min(clicked_at) AS clicked_at
        FROM clicks_ranked WHERE reason IS NULL AND copy = 1 GROUP BY bag_id
    ), conversion AS (
        SELECT bag_id, count(*) AS conversions, sum(coalesce(value, 0)) AS value
        FROM (SELECT * FROM conversions_ranked WHERE reason IS NULL AND copy = 1
              ORDER BY bag_id, converted_at, value)
        GROUP BY bag_id
    )
    SELECT r.bag_id, r.dt AS ds, r.shown_at, r.product_id,
           coalesce(r.user_id, r.product_id) AS cluster_id, r.context, r.creative, r.propensity,
           coalesce(r.policy, 'unknown') AS policy, r.impressions,
           CASE r.kind WHEN 'aggregates' THEN r.clicks ELSE coalesce(c.clicks, 0) END AS clicks,
           CASE r.kind WHEN 'aggregates' THEN r.conversions ELSE coalesce(v.conversions, 0) END
               AS conversions,
           CASE r.kind WHEN 'aggregates' THEN r.value ELSE coalesce(v.value, 0) END AS value,
           epoch(r.shown_at) + {windows.click_hours} * 3600 <= epoch({as_of}) AS click_mature,
           epoch(r.shown_at) + {windows.conversion_days} * 86400 <= epoch({as_of})
               AS conversion_mature,
           c.clicked_at, r.in_day, r.elements_shown, r.unknown_slots, r.unknown_elements,
           r.not_allowed, r.user_impressions, r.missing_context, r.unfit,
           r.file AS source_file, r.row AS source_row, NULL::VARCHAR AS raw
    FROM ranked r LEFT JOIN click c USING (bag_id) LEFT JOIN conversion v USING (bag_id)
    WHERE r.copy = 1
    """


def _leavings() -> tuple[str, ...]:
    typed = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, file, row, dt, problems AS reasons FROM {kind} WHERE len(problems) > 0"
        for kind in ("impressions", "clicks", "conversions", "aggregates")
    )
    unattributed = " UNION ALL ".join(
        f"SELECT '{kind}', file, row, dt, [reason] FROM {kind}_ranked WHERE reason IS NOT NULL"
        for kind in ("clicks", "conversions")
    )
    attributed = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, file, row, dt, bag_id, bag_dt, unfit, NULL::VARCHAR AS raw "
        f"FROM {kind}_ranked WHERE reason IS NULL AND copy = 1"
        for kind in ("clicks", "conversions")
    )
    repeated = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, file, row, dt FROM {kind}_ranked WHERE reason IS NULL AND copy > 1"
        for kind in ("clicks", "conversions")
    )
    return (
        f"CREATE TABLE rejected AS SELECT *, NULL::VARCHAR AS raw FROM ({typed} UNION ALL {unattributed})",
        f"CREATE TABLE events AS {attributed}",
        f"CREATE TABLE duplicates AS SELECT kind, file, row, dt FROM ranked WHERE copy > 1 "
        f"UNION ALL {repeated} UNION ALL SELECT kind, file, row, dt FROM superseded",
    )
