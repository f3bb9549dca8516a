"""Typed rows -> displays with everything that the rules look at (SQL on DuckDB).

`shown` is a display or an aggregate row that could be read. `flagged` adds what the catalog, the
day and the user's other displays say of it, and whether it is unfit. Both are SQL text that is
evaluated column by column where it is used: nobody holds a day's rows.

Tables used: rejected (file, row), known_<n> (product_id, element_id of slot n), users_<day>
(user_id, displays of those with many) and, where the catalog restricts combinations,
not_allowed_<day> (product_id, key, why).
"""

from collections.abc import Mapping

from components.ingest_logs.typed import Shape
from components.sql import quote
from validation.contract import Rule


def shown(impressions: str, aggregates: str) -> str:
    """SQL of every row that could be read as a display, from relations of typed rows."""
    return f"""(
    SELECT 'impressions' AS kind, file, row, dt, impression_id AS bag_id, shown_at, product_id,
           user_id, context, creative, other_slots, propensity, policy,
           1::BIGINT AS impressions, 0::BIGINT AS clicks, 0::BIGINT AS conversions, 0.0 AS value
    FROM {impressions} ANTI JOIN rejected USING (file, row)
    UNION ALL
    SELECT 'aggregates', file, row, dt, 'a-' || md5(path || ':' || row), shown_at, product_id,
           NULL, context, creative, other_slots, propensity, policy,
           impressions, coalesce(clicks, 0), coalesce(conversions, 0), coalesce(value, 0.0)
    FROM {aggregates} ANTI JOIN rejected USING (file, row) JOIN files USING (file, dt)
    )"""


def day_name(dt: str) -> str:
    """A day as part of a table's name."""
    return dt.replace("-", "")


def element(slot: str) -> str:
    return f"struct_extract(s.creative, {quote(slot)})"


def combination_key(slots: tuple[str, ...], other: str = "s.other_slots") -> str:
    """SQL of a text that is equal for equal combinations."""
    parts = [f"{quote(slot + chr(31))} || {element(slot)}" for slot in slots]
    return f"concat_ws(chr(30), {', '.join(parts)}, {other})"


def creative_list(slots: tuple[str, ...]) -> str:
    """SQL of a bag's creative: a list of {slot, element} in slot order, absent slots left out."""
    entries = [f"{{'slot': {quote(slot)}, 'element': {element(slot)}}}" for slot in slots]
    listed = f"[{', '.join(entries)}]"
    whole = " AND ".join(f"{element(slot)} IS NOT NULL" for slot in slots)
    return f"CASE WHEN {whole} THEN {listed} ELSE list_filter({listed}, e -> e.element IS NOT NULL) END"


def flagged(
    source: str,
    dt: str,
    shape: Shape,
    rules: tuple[Rule, ...],
    waived: Mapping[str, list[int]],
    lists: bool,
    test_traffic: str,
) -> str:
    """SQL of the displays of `source`, all of day dt, with what the rules look at, and `unfit`.

    waived: rule -> files whose rows it does not bind. lists: whether not_allowed is there.
    test_traffic: SQL of a text over a display `s` (traffic.py).
    """
    known = [
        f"LEFT JOIN known_{n} k{n} ON k{n}.product_id = s.product_id "
        f"AND k{n}.element_id = {element(slot)}"
        for n, slot in enumerate(shape.slots)
    ]
    key = f"c.product_id = s.product_id AND c.key = {combination_key(shape.slots)}"
    present = " + ".join(f"({element(slot)} IS NOT NULL)::BIGINT" for slot in shape.slots)
    unfit = " OR ".join(
        _binding(rule, waived.get(rule.id, [])) for rule in rules if rule.severity != "warn"
    )
    return f"""(
    SELECT *, ({unfit}) AS unfit FROM (
        SELECT s.* EXCLUDE (other_slots), {present} AS elements_shown,
               s.other_slots AS unknown_slots, {_unknown_elements(shape.slots)} AS unknown_elements,
               {"c.why" if lists else "NULL::VARCHAR"} AS not_allowed,
               CAST(s.shown_at AS DATE) = CAST(s.dt AS DATE) AS in_day,
               u.displays AS user_impressions, {_missing(shape.context)} AS missing_context,
               {test_traffic} AS test_traffic
        FROM {source} s {" ".join(known)}
        LEFT JOIN users_{day_name(dt)} u ON u.user_id = s.user_id
        {f"LEFT JOIN not_allowed_{day_name(dt)} c ON {key}" if lists else ""}
    ))"""


def _unknown_elements(slots: tuple[str, ...]) -> str:
    at = {slot: n for n, slot in enumerate(slots)}
    unknown = {
        slot: f"{element(slot)} IS NOT NULL AND k{at[slot]}.element_id IS NULL"
        for slot in sorted(slots)
    }
    some = " OR ".join(f"({one})" for one in unknown.values())
    named = ", ".join(
        f"CASE WHEN {one} THEN {quote(slot + '=')} || {element(slot)} END"
        for slot, one in unknown.items()
    )
    return f"CASE WHEN {some} THEN concat_ws(', ', {named}) END"


def _missing(context: Mapping[str, str]) -> str:
    if not context:
        return "NULL::VARCHAR"
    absent = {key: f"struct_extract(s.context, {quote(key)}) IS NULL" for key in context}
    named = ", ".join(f"CASE WHEN {one} THEN {quote(key)} END" for key, one in absent.items())
    return f"CASE WHEN {' OR '.join(absent.values())} THEN concat_ws(', ', {named}) END"


def _binding(rule: Rule, waived: list[int]) -> str:
    if not waived:
        return rule.violated()
    return f"({rule.violated()} AND file NOT IN ({', '.join(map(str, waived))}))"


def displays_limit(rules: tuple[Rule, ...]) -> float | None:
    """The fewest displays of a user that some rule still allows; None where none limits them."""
    bounds = [r.upper for r in rules if r.column == "user_impressions" and r.upper is not None]
    return min(bounds, default=None)


def users(source: str, rules: tuple[Rule, ...]) -> str:
    """SQL of (user_id, displays) of users with more displays than some rule allows, repeats not
    counted.

    `repeated` (h) holds at least the hashes of the ids that occur more than once.
    """
    limit = displays_limit(rules)
    many = "false" if limit is None else f"count(*) > {limit}"
    again = (
        f"SELECT user_id, bag_id, count(*) - 1 AS more FROM {source} WHERE user_id IN (FROM busy)"
    )
    return f"""
    WITH counted AS MATERIALIZED (
        SELECT user_id, count(*) AS n FROM {source} WHERE user_id IS NOT NULL
        GROUP BY user_id HAVING {many}
    ), busy AS (SELECT user_id FROM counted)
    SELECT user_id, n - coalesce(more, 0)::BIGINT AS displays
    FROM counted LEFT JOIN (
        SELECT user_id, sum(more) AS more FROM (
            {again} AND hash(bag_id) IN (SELECT h FROM repeated) GROUP BY user_id, bag_id)
        GROUP BY user_id) USING (user_id)
    """


def not_allowed(source: str, slots: tuple[str, ...]) -> str:
    """SQL of (product_id, key, why) of the shown combinations that the catalog does not allow."""
    entries = " UNION ALL ".join(
        f"SELECT product_id, key, {quote(slot)} AS slot, {element(slot)} AS element "
        f"FROM combinations s WHERE {element(slot)} IS NOT NULL"
        for slot in slots
    )
    return f"""
    WITH combinations AS (
        SELECT product_id, {combination_key(slots)} AS key, any_value(creative) AS creative
        FROM {source} s GROUP BY ALL
    ), entries AS MATERIALIZED ({entries}), unlisted AS (
        SELECT product_id, key FROM combinations
        WHERE product_id IN (SELECT product_id FROM allowed)
          AND (product_id, key) NOT IN (SELECT (product_id, key) FROM allowed)
    ), clashing AS (
        SELECT a.product_id, a.key,
               min(a.slot || '=' || a.element || ' with ' || b.slot || '=' || b.element) AS pair
        FROM forbidden f
        JOIN entries a ON a.slot = f.slot_a AND a.element = f.element_a
             AND (f.product_id IS NULL OR f.product_id = a.product_id)
        JOIN entries b ON b.product_id = a.product_id AND b.key = a.key
             AND b.slot = f.slot_b AND b.element = f.element_b
        GROUP BY ALL
    )
    SELECT coalesce(u.product_id, c.product_id) AS product_id, coalesce(u.key, c.key) AS key,
           CASE WHEN u.key IS NOT NULL THEN 'not in the allow-list of the product'
                ELSE 'forbidden together: ' || c.pair END AS why
    FROM unlisted u FULL JOIN clashing c USING (product_id, key)
    """
