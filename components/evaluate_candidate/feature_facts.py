"""What the evidence says of the features: fresh, present, the same online, and never early.

The check for values that a row could not know yet does not ask Feast again: it looks each sampled
value up in the published history itself, in DuckDB, and compares.
"""

from typing import Any

from components.day import Day
from components.materialize_features.history import ELEMENT_FEATURES, element_key
from components.materialize_features.stage import NAME as FEATURES
from components.materialize_features.stage import Result as Features
from components.sql import parquet, quote

CHECKED_BAGS = 2000
ROUNDING = 1e-5
KNOWN_DAYS = 29  # how long a history counts (feature_repo/ad_views.py)


def feature_facts(day: Day, features: Features, slots: tuple[str, ...]) -> dict[str, Any]:
    """The fields of validation.gate.evidence.Features."""
    import duckdb

    storage = day.storage()
    rows = storage.fetch(day.path(FEATURES, "training_set.parquet"))
    history = storage.fetch(day.path(FEATURES, "element_history.parquet"))
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE VIEW learned AS SELECT * FROM {parquet(rows)}")
        database.execute(f"CREATE VIEW history AS SELECT * FROM {parquet(history)}")
        age = database.execute(_AGE.format(ds=quote(day.ds))).fetchone()
        rates = dict(database.execute(_shown(slots, _NULL_RATES)).fetchall())
        checked = database.execute(_shown(slots, _as_known())).fetchone()
    assert age is not None
    assert checked is not None
    return {
        "age_days": None if age[0] is None else float(age[0]),
        "judged_null_rate": rates.get(True),
        "learned_null_rate": rates.get(False),
        "checked": int(checked[0]),
        "early": int(checked[1]),
        "parity_sampled": features.parity["sampled"],
        "parity_equal": features.parity["equal"],
    }


def told_of(features: Features, facts: dict[str, Any]) -> dict[str, Any]:
    """What the data page says of the features: the facts, and of how much they are."""
    rows = {"learned_rows": features.rows["bags"] - features.rows["held_out"]}
    rows |= {"judged_rows": features.rows["held_out"], "elements": features.elements}
    return {**facts, **rows, "fingerprint": features.fingerprint}


_AGE = "SELECT date_diff('day', max(event_timestamp), CAST({ds} AS DATE) + 1) FROM history"
_NULL_RATES = "SELECT held_out, sum((got IS NULL)::INT * impressions) / sum(impressions) FROM shown GROUP BY 1"


def _shown(slots: tuple[str, ...], query: str) -> str:
    """The query over `shown`: a row a bag and element, `got` being the history learned from."""
    order = "[" + ", ".join(quote(slot) for slot in slots) + "]"
    return f"""
    WITH each AS (
        SELECT bag_id, product_id, held_out, impressions, history,
               CAST(CAST(ds AS DATE) AS TIMESTAMPTZ) AS day,
               unnest(creative, recursive := true) FROM learned
    ), shown AS (
        SELECT bag_id, held_out, impressions, day,
               {element_key("product_id", "slot", "element")} AS element_key,
               history[list_position({order}, slot)] AS values,
               CASE WHEN list_count(values) > 0 THEN values END AS got FROM each
    ) {query}
    """


def _as_known() -> str:
    """Of sampled values: how many were checked, and how many are not what was known by then."""
    names = ", ".join(f"h.{name}" for name in ELEMENT_FEATURES)
    return f"""
    , sampled AS (
        SELECT row_number() OVER () AS place, * FROM shown WHERE bag_id IN (
            SELECT bag_id FROM (SELECT DISTINCT bag_id FROM shown)
            ORDER BY hash(bag_id) LIMIT {CHECKED_BAGS})
    ), looked_up AS (
        SELECT any_value(s.got) AS got,
               arg_max([{names}], row(h.event_timestamp, h.created_timestamp))
                   FILTER (h.element_key IS NOT NULL) AS known
        FROM sampled s LEFT JOIN history h
        ON s.element_key = h.element_key AND h.event_timestamp <= s.day
           AND h.created_timestamp <= s.day
           AND h.event_timestamp >= s.day - INTERVAL {KNOWN_DAYS} DAY
        GROUP BY place
    )
    SELECT count(*), count(*) FILTER (
        (got IS NULL) != (known IS NULL)
        OR len(list_filter(list_zip(got, known), p -> abs(p[1] - p[2]) > {ROUNDING})) > 0)
    FROM looked_up
    """
