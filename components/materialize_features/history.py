"""Fit bags -> what was known of elements, products and cells at the end of each day (SQL on DuckDB).

Rates are smoothed towards the product's rate, and those of products and cells towards the rate of
all, so that a new element starts at 0 lift and weight 0. A click counts on the day it happened,
and only where it had been delivered by then: what lies in partition D of the logs is known when D
ends. A row that a later delivery changes is written once more, corrected, with the end of that
later day as its created_timestamp; what it is smoothed towards stays as first known (ADR 22).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.sql import name, quote

if TYPE_CHECKING:
    import duckdb

WINDOWS = (1, 7, 28)
ELEMENT_FEATURES = (
    *(f"{kind}_{days}" for days in WINDOWS for kind in ("lift", "weight")),
    "age_days",
)
PRODUCT_FEATURES, CELL_FEATURES = (
    tuple(f"{entity}_{kind}_{days}" for days in WINDOWS for kind in ("rate", "weight"))
    for entity in ("product", "cell")
)
ELEMENT_PRIOR = 20  # displays at the product's rate that an element is credited with
PRODUCT_PRIOR = 50  # displays at the overall rate that a product or a cell is credited with
KEY_SEPARATOR = 31  # ASCII unit separator: joins product, slot and element, and a cell's fields
EVERYWHERE = "all=*"  # the one cell where the config names none
_LONGEST = max(WINDOWS)


def element_key(product: str, slot: str, element: str) -> str:
    """SQL of the Feast join key from three SQL expressions."""
    return f"{product} || chr({KEY_SEPARATOR}) || {slot} || chr({KEY_SEPARATOR}) || {element}"


def cell_key(cells: Sequence[str], context: str = "context") -> str:
    """SQL of the Feast join key of a struct of context: name=value, by name; nothing if unknown."""
    fields = (
        f"{quote(f'{field}=')} || coalesce(CAST({context}.{name(field)} AS VARCHAR), '')"
        for field in sorted(cells)
    )
    return f" || chr({KEY_SEPARATOR}) || ".join(fields) or quote(EVERYWHERE)


def cell_text(context: Mapping[str, Any]) -> str:
    """The same key of a context in hand, as an ad server makes it."""
    fields = (f"{key}={'' if context[key] is None else context[key]}" for key in sorted(context))
    return chr(KEY_SEPARATOR).join(fields) or EVERYWHERE


def build_history(
    database: "duckdb.DuckDBPyConnection", ds: str, cells: Sequence[str] = ()
) -> None:
    """Tables element_history, product_history and cell_history, a row an entity and day's end.

    Needs tables `bags` and `deliveries` (bag_id, delivered: the partition that brought its click).
    """
    for statement in (
        _OUTCOMES.format(cell=cell_key(cells, "b.context")),
        _ENDS.format(ds=quote(ds)),
        _daily("product", "product_id", "outcomes"),
        _daily("cell", "cell_key", "outcomes"),
        _daily("element", _ELEMENT, f"({_EACH})"),
        *(_windows(entity, keys) for entity, keys in _KEYS.items()),
        _OVERALL,
        _rates("product"),
        _rates("cell"),
        _lifts(),
    ):
        database.execute(statement)


_ELEMENT = "product_id, slot, element"
_KEYS = {"product": "product_id", "cell": "cell_key", "element": _ELEMENT}
_OUTCOMES = """
    CREATE VIEW outcomes AS
    WITH known AS (
        SELECT b.product_id, {cell} AS cell_key, b.creative, b.impressions, b.clicks,
               CAST(b.ds AS DATE) AS day,
               coalesce(CAST(b.clicked_at AS DATE), CAST(b.ds AS DATE)) AS click_day, d.delivered
        FROM bags b LEFT JOIN deliveries d USING (bag_id)
    )
    SELECT product_id, cell_key, creative, day, day AS delivered, impressions AS n, 0 AS c FROM known
    UNION ALL
    SELECT product_id, cell_key, creative, click_day,
           greatest(coalesce(delivered, click_day), click_day), 0, clicks FROM known WHERE clicks > 0
"""
_ENDS = """
    CREATE TABLE ends AS
    SELECT DISTINCT CAST(ds AS DATE) AS ending FROM bags
    UNION SELECT CAST({ds} AS DATE) + 1
"""
_EACH = "SELECT product_id, unnest(creative, recursive := true), day, delivered, n, c FROM outcomes"


def _daily(entity: str, keys: str, source: str) -> str:
    """Displays n and clicks c of an entity by the day they happened and the day they came."""
    return f"""
    CREATE TABLE {entity}_daily AS
    SELECT {keys}, day, delivered, sum(n)::DOUBLE AS n, sum(c)::DOUBLE AS c
    FROM {source} GROUP BY ALL
    """


def _windows(entity: str, keys: str) -> str:
    """Displays and clicks over each window before each end, as known at `created`."""
    sums = ", ".join(
        f"coalesce(sum({column}) FILTER (day >= ending - {days}), 0) AS {column}_{days}"
        for days in WINDOWS
        for column in "nc"
    )
    inside = f"day < ending AND day >= ending - {_LONGEST}"
    return f"""
    CREATE TABLE {entity}_windows AS
    WITH late AS (
        SELECT DISTINCT {keys}, ending, delivered + 1 AS created
        FROM {entity}_daily JOIN ends ON {inside} AND delivered >= ending
    )
    SELECT ending, ending AS created, {keys}, {sums}
    FROM {entity}_daily JOIN ends ON {inside} AND delivered < ending GROUP BY ALL
    UNION ALL
    SELECT ending, created, {keys}, {sums}
    FROM {entity}_daily JOIN late USING ({keys}) WHERE {inside} AND delivered < created GROUP BY ALL
    """


_OVERALL = f"""
    CREATE TABLE overall AS
    SELECT ending, (sum(c_{_LONGEST}) + 1) / (sum(n_{_LONGEST}) + 100) AS overall
    FROM product_windows WHERE created = ending GROUP BY ending
"""
_TIMES = """CAST(ending AS TIMESTAMPTZ) AS event_timestamp,
           CAST(created AS TIMESTAMPTZ) AS created_timestamp"""


def _smoothed(days: int) -> str:
    return f"(c_{days} + {PRODUCT_PRIOR} * overall) / (n_{days} + {PRODUCT_PRIOR})"


def _rates(entity: str) -> str:
    features = ", ".join(
        f"CAST(ln({_smoothed(d)}) AS FLOAT) AS {entity}_rate_{d}, "
        f"CAST(ln(1 + n_{d}) AS FLOAT) AS {entity}_weight_{d}"
        for d in WINDOWS
    )
    key = _KEYS[entity]
    return f"""
    CREATE TABLE {entity}_history AS
    SELECT {key}, {features}, {_TIMES}
    FROM {entity}_windows JOIN overall USING (ending)
    ORDER BY event_timestamp, {key}, created_timestamp
    """


def _lifts() -> str:
    features = ", ".join(
        f"CAST(ln((e.c_{d} + {ELEMENT_PRIOR} * rate) / (e.n_{d} + {ELEMENT_PRIOR})) - ln(rate) "
        f"AS FLOAT) AS lift_{d}, CAST(ln(1 + e.n_{d}) AS FLOAT) AS weight_{d}"
        for d in WINDOWS
    )
    return f"""
    CREATE TABLE element_history AS
    WITH first_seen AS (
        SELECT {_ELEMENT}, min(day) AS first_day FROM element_daily WHERE n > 0 GROUP BY ALL
    ), rates AS (
        SELECT ending, product_id, {_smoothed(_LONGEST)} AS rate
        FROM product_windows JOIN overall USING (ending) WHERE created = ending
    )
    SELECT {element_key("e.product_id", "e.slot", "e.element")} AS element_key,
           e.product_id, e.slot, e.element, {features},
           CAST(date_diff('day', first_day, ending) AS FLOAT) AS age_days, {_TIMES}
    FROM element_windows e JOIN rates USING (ending, product_id)
    JOIN first_seen USING ({_ELEMENT})
    ORDER BY event_timestamp, element_key, created_timestamp
    """
