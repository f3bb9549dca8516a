"""What of a day is unusual beyond its single rows, read off its bags and those of days before."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.sql import name, parquet
from components.validate_logs.lags import lags
from validation.drift.fields import Drift, Shown, field_drifts
from validation.sanity import findings as f
from validation.sanity.limits import Unusual
from validation.sanity.volume import same_weekdays

if TYPE_CHECKING:
    import duckdb

EARLIER_DAYS = 7  # days before ds that drift and rates are held against
KEY = "array_to_string(list_transform(creative, e -> e.slot || chr(31) || e.element), chr(30))"


def findings_of(
    database: "duckdb.DuckDBPyConnection",
    ds: str,
    earlier: Mapping[str, list[Path]],
    volumes: Mapping[str, int],
    limits: Unusual,
    windows: Mapping[str, float],
) -> dict[str, Any]:
    """{findings, drift, lags}: table `bags` of ds against the files of earlier fit days.

    volumes: fit bags of every earlier fit day of the window. windows: attribution windows of
    clicks and conversions in hours.
    """
    files = [file for dt in sorted(earlier) for file in earlier[dt]]
    source = f"SELECT * FROM {parquet(files)}" if files else "SELECT * FROM bags WHERE false"
    database.execute(f"CREATE TEMP VIEW past AS {source}")
    drifts = _drifts(database, ds, limits)
    found = [_volume(database, ds, volumes, limits), _freshness(database, limits)]
    found += f.drifted(drifts, limits)
    found += [f.maturity(_one(database, "SELECT avg(click_mature::INT) FROM bags"), limits)]
    found += _propensities(database, limits)
    for kind, column, mature in _RATES:
        if _one(database, f"SELECT sum({column}) FROM bags"):
            found += f.rates(kind, _rates(database, column, mature), limits)
    told = lags(database, ds, windows)
    database.execute("DROP VIEW past")
    return {
        "findings": [_plain(one) for one in found],
        "drift": [_finite(asdict(one)) for one in drifts],
        "lags": told,
    }


def _plain(finding: f.Finding) -> dict[str, Any]:
    """JSON values; sums over threads differ in their last digits, so these are cut off."""
    value = finding.value
    return asdict(finding) | {"value": None if value is None else float(f"{value:.9g}")}


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON values: None for what is not known."""
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in values.items()}


def _one(database: "duckdb.DuckDBPyConnection", query: str) -> Any:
    row = database.execute(query).fetchone()
    return row[0] if row else None


def _volume(
    database: "duckdb.DuckDBPyConnection", ds: str, volumes: Mapping[str, int], limits: Unusual
) -> f.Finding:
    count = _one(database, "SELECT count(*) FROM bags")
    return f.volume(count, same_weekdays(ds, volumes), limits)


def _freshness(database: "duckdb.DuckDBPyConnection", limits: Unusual) -> f.Finding:
    hour = "(epoch(max(shown_at)) - epoch(max(CAST(ds AS DATE)))) / 3600"
    last = _one(database, f"SELECT {hour} FROM bags")
    usual = _one(database, f"SELECT median(h) FROM (SELECT ds, {hour} AS h FROM past GROUP BY ds)")
    return f.freshness(last, usual, limits)


def _drifts(database: "duckdb.DuckDBPyConnection", ds: str, limits: Unusual) -> list[Drift]:
    described = database.execute("SELECT context FROM bags LIMIT 0").description or []
    fields = dict(described[0][1].children) if described and _is_struct(described[0][1]) else {}
    if not fields:
        return []
    texts = [one for one, kind in fields.items() if str(kind) == "VARCHAR"]
    columns = [
        f"coalesce(dense_rank() OVER (ORDER BY context.{name(one)}) - 1, -1) AS {name(one)}"
        if one in texts
        else f"context.{name(one)}::DOUBLE AS {name(one)}"
        for one in fields
    ]
    rows = database.execute(
        f"""
        WITH chosen AS (
            SELECT cluster_id, arg_min(ds, hash(cluster_id || ds)) AS ds FROM past GROUP BY ALL
        ), shown AS (
            SELECT true AS today, cluster_id, context, impressions FROM bags
            UNION ALL
            SELECT false, p.cluster_id, p.context, p.impressions
            FROM past p JOIN chosen USING (cluster_id, ds)
        )
        SELECT today, dense_rank() OVER (ORDER BY cluster_id) - 1 AS user,
               impressions::DOUBLE AS weight, {", ".join(columns)} FROM shown
        """
    ).fetchnumpy()
    shown = Shown(
        user=_filled(rows["user"], 0).astype(np.int64),
        today=_filled(rows["today"], False).astype(bool),
        categorical={one: _filled(rows[one], -1).astype(np.int64) for one in texts},
        numeric={one: _filled(rows[one], np.nan) for one in fields if one not in texts},
        weight=_filled(rows["weight"], 0.0),
    )
    seed = int.from_bytes(hashlib.sha256(ds.encode()).digest()[:4], "big")
    return field_drifts(shown, limits.draws, np.random.default_rng(seed))


def _is_struct(kind: Any) -> bool:
    return str(kind).startswith("STRUCT")


def _filled(column: Any, missing: Any) -> Any:
    return np.ma.filled(column, missing)


def _propensities(database: "duckdb.DuckDBPyConnection", limits: Unusual) -> list[f.Finding]:
    """Range, sums over what a product was shown with in a context, and mean weights."""
    database.execute(
        f"""
        CREATE TEMP TABLE cells AS
        SELECT policy, product_id, context, {KEY} AS creative, avg(propensity) AS propensity,
               sum(impressions) AS displays
        FROM bags WHERE propensity IS NOT NULL GROUP BY ALL
        """
    )
    found = [f.support(_one(database, "SELECT min(propensity) FROM cells"), limits)]
    row = database.execute(
        f"""
        SELECT count(*), count(*) FILTER (total > 1 + {limits.sum_error}), max(total)
        FROM (SELECT sum(propensity) AS total FROM cells GROUP BY policy, product_id, context)
        """
    ).fetchone()
    cells, over, highest = row or (0, 0, None)
    found.append(f.sums(cells, over, highest, limits))
    weights = database.execute(_SELF_WEIGHT).fetchall()
    database.execute("DROP TABLE cells")
    return found + [f.mean_weight(p, mean, error, n, limits) for p, mean, error, n in weights]


# Of two displays of a cell, one shows what the other does with that one's propensity: so the
# match divided by it is 1 on average, whatever else the policy may show. The error is that of a
# ratio of sums over cells, and no less than what true propensities would give: seldom shown
# combinations weigh much and seldom match, so that few displays may show no match at all.
_SELF_WEIGHT = """
    WITH cell AS (
        SELECT policy, product_id, context, sum(displays) AS n,
               sum(displays * (displays - 1) / propensity) / (sum(displays) - 1) AS w,
               2 * (sum(displays / propensity) - sum(displays)) / (sum(displays) - 1) AS v
        FROM cells GROUP BY ALL HAVING sum(displays) > 1
    )
    SELECT p.policy, sum(w) / sum(n),
           sqrt(greatest(sum(w * w) - 2 * (sum(w) / sum(n)) * sum(w * n)
                + (sum(w) / sum(n)) ** 2 * sum(n * n), sum(v), 0)) / sum(n),
           coalesce(sum(n), 0)::BIGINT
    FROM (SELECT DISTINCT policy FROM bags) p LEFT JOIN cell USING (policy)
    GROUP BY ALL ORDER BY 4 DESC, 1 LIMIT 20
"""


_RATES = (
    ("click-through", "clicks", "click_mature"),
    ("conversion", "conversions", "conversion_mature"),
)


def _rates(database: "duckdb.DuckDBPyConnection", column: str, mature: str) -> list[dict[str, Any]]:
    """Events a display by policy, today and on earlier days, with standard errors over users.

    Of displays whose window had closed only: young ones have fewer events for being young. The
    error is of a ratio of sums over clusters (Cochran, 1977, section 6.8).
    """

    def of(table: str) -> str:
        return f"""
        SELECT policy, sum(n) AS displays, sum(e) AS events, sum(e) / nullif(sum(n), 0) AS rate,
               sqrt(greatest(sum(e * e) - 2 * (sum(e) / sum(n)) * sum(e * n)
                    + (sum(e) / sum(n)) ** 2 * sum(n * n), 0)) / sum(n) AS spread
        FROM (SELECT policy, cluster_id, sum(impressions)::DOUBLE AS n, sum({column})::DOUBLE AS e
              FROM {table} WHERE {mature} GROUP BY ALL) GROUP BY policy HAVING sum(n) > 0
        """

    rows = database.execute(
        f"""
        SELECT t.policy, t.displays, t.events, t.rate, t.spread, p.rate, p.spread
        FROM ({of("bags")}) t LEFT JOIN ({of("past")}) p USING (policy)
        ORDER BY t.displays DESC, t.policy LIMIT 20
        """
    ).fetchall()
    names = ("policy", "displays", "events", "rate", "spread", "earlier", "earlier_spread")
    return [dict(zip(names, row, strict=True)) for row in rows]
