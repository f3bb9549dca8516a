"""Fit bags -> what was known of each element and product at the end of each day (SQL on DuckDB).

Rates are smoothed towards the product's rate, and the product's towards the rate of all, so that
a new element starts at 0 lift and weight 0. A click counts on the day it happened, so that the
value at the end of a day holds nothing later.
"""

from typing import TYPE_CHECKING

from components.sql import quote

if TYPE_CHECKING:
    import duckdb

WINDOWS = (1, 7, 28)
ELEMENT_FEATURES = (
    *(f"{kind}_{days}" for days in WINDOWS for kind in ("lift", "weight")),
    "age_days",
)
PRODUCT_FEATURES = tuple(f"{kind}_{days}" for days in WINDOWS for kind in ("rate", "weight"))
ELEMENT_PRIOR = 20  # displays at the product's rate that an element is credited with
PRODUCT_PRIOR = 50  # displays at the overall rate that a product is credited with
KEY_SEPARATOR = 31  # ASCII unit separator: joins product, slot and element


def element_key(product: str, slot: str, element: str) -> str:
    """SQL of the Feast join key from three SQL expressions."""
    return f"{product} || chr({KEY_SEPARATOR}) || {slot} || chr({KEY_SEPARATOR}) || {element}"


def build_history(database: "duckdb.DuckDBPyConnection", ds: str) -> None:
    """Tables element_history and product_history from table `bags`, a row an entity and day end."""
    for statement in (
        _DAILY,
        _ENDS.format(ds=quote(ds)),
        _product_windows(),
        _product_history(),
        _element_history(),
    ):
        database.execute(statement)


_DAILY = """
    CREATE TABLE daily AS
    WITH shown AS (
        SELECT product_id, unnest(creative, recursive := true), CAST(ds AS DATE) AS day,
               CASE WHEN clicked_at IS NULL THEN CAST(ds AS DATE) ELSE CAST(clicked_at AS DATE) END
                   AS click_day, impressions, clicks FROM bags
    )
    SELECT product_id, slot, element, day, sum(n)::DOUBLE AS n, sum(c)::DOUBLE AS c FROM (
        SELECT product_id, slot, element, day, impressions AS n, 0 AS c FROM shown
        UNION ALL SELECT product_id, slot, element, click_day, 0, clicks FROM shown WHERE clicks > 0)
    GROUP BY ALL
"""
_ENDS = """
    CREATE TABLE ends AS
    SELECT DISTINCT CAST(ds AS DATE) AS ending FROM bags
    UNION SELECT CAST({ds} AS DATE) + 1
"""
_LONGEST = max(WINDOWS)


def _sums(column: str) -> str:
    return ", ".join(
        f"coalesce(sum({column}) FILTER (day >= ending - {days}), 0) AS {column}_{days}"
        for days in WINDOWS
    )


def _product_windows() -> str:
    """Displays and clicks of each product, and of all, over each window before each day's end."""
    return f"""
    CREATE TABLE product_windows AS
    WITH by_product AS (
        SELECT product_id, CAST(ds AS DATE) AS day, sum(impressions)::DOUBLE AS n, 0.0 AS c
        FROM bags GROUP BY ALL
        UNION ALL
        SELECT product_id, CAST(coalesce(clicked_at, CAST(ds AS TIMESTAMP)) AS DATE), 0,
               sum(clicks)::DOUBLE FROM bags WHERE clicks > 0 GROUP BY ALL
    ), windows AS (
        SELECT ending, product_id, {_sums("n")}, {_sums("c")}
        FROM by_product JOIN ends ON day < ending AND day >= ending - {_LONGEST}
        GROUP BY ALL
    )
    SELECT *, (sum(c_{_LONGEST}) OVER e + 1) / (sum(n_{_LONGEST}) OVER e + 100) AS overall
    FROM windows WINDOW e AS (PARTITION BY ending)
    """


def _smoothed(days: int) -> str:
    return f"(c_{days} + {PRODUCT_PRIOR} * overall) / (n_{days} + {PRODUCT_PRIOR})"


def _product_history() -> str:
    features = ", ".join(
        f"CAST(ln({_smoothed(d)}) AS FLOAT) AS rate_{d}, CAST(ln(1 + n_{d}) AS FLOAT) AS weight_{d}"
        for d in WINDOWS
    )
    return f"""
    CREATE TABLE product_history AS
    SELECT product_id, {features}, CAST(ending AS TIMESTAMPTZ) AS event_timestamp,
           CAST(ending AS TIMESTAMPTZ) AS created_timestamp
    FROM product_windows ORDER BY event_timestamp, product_id
    """


def _element_history() -> str:
    features = ", ".join(
        f"CAST(ln((e.c_{d} + {ELEMENT_PRIOR} * rate) / (e.n_{d} + {ELEMENT_PRIOR})) - ln(rate) "
        f"AS FLOAT) AS lift_{d}, CAST(ln(1 + e.n_{d}) AS FLOAT) AS weight_{d}"
        for d in WINDOWS
    )
    return f"""
    CREATE TABLE element_history AS
    WITH first_seen AS (
        SELECT product_id, slot, element, min(day) AS first_day FROM daily WHERE n > 0 GROUP BY ALL
    ), windows AS (
        SELECT ending, product_id, slot, element, {_sums("n")}, {_sums("c")}
        FROM daily JOIN ends ON day < ending AND day >= ending - {_LONGEST} GROUP BY ALL
    ), rated AS (
        SELECT w.*, {_smoothed(_LONGEST).replace("c_", "p.c_").replace("n_", "p.n_")} AS rate
        FROM windows w JOIN product_windows p USING (ending, product_id)
    )
    SELECT {element_key("e.product_id", "e.slot", "e.element")} AS element_key,
           e.product_id, e.slot, e.element, {features},
           CAST(date_diff('day', first_day, ending) AS FLOAT) AS age_days,
           CAST(ending AS TIMESTAMPTZ) AS event_timestamp,
           CAST(ending AS TIMESTAMPTZ) AS created_timestamp
    FROM rated e JOIN first_seen USING (product_id, slot, element)
    ORDER BY event_timestamp, element_key
    """
