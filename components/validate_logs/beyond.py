"""What of a day is unusual beyond its single rows, read off its bags and those of days before."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from components.sql import name, parquet
from components.validate_logs.lags import lags
from components.validate_logs.propensities import propensities
from validation.drift.fields import Drift, Shown, field_drifts
from validation.sanity import findings as f
from validation.sanity.limits import Unusual
from validation.sanity.volume import same_weekdays

if TYPE_CHECKING:
    import duckdb

EARLIER_DAYS = 7  # days before ds that drift and rates are held against


def findings_of(
    database: "duckdb.DuckDBPyConnection",
    ds: str,
    earlier: Mapping[str, list[Path]],
    volumes: Mapping[str, int],
    limits: Unusual,
    windows: Mapping[str, float],
    ends: Mapping[str, float] = MappingProxyType({}),
    legal: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """{findings, drift, lags}: table `bags` of ds against the files of earlier fit days.

    volumes, ends: fit bags, and hours until the last display, of every earlier fit day of the
    window. windows: attribution windows of clicks and conversions in hours. legal: how many
    combinations there are for a product, where that is known.
    """
    files = [file for dt in sorted(earlier) for file in earlier[dt]]
    source = f"SELECT * FROM {parquet(files)}" if files else "SELECT * FROM bags WHERE false"
    database.execute(f"CREATE TEMP VIEW past AS {source}")
    drifts = _drifts(database, ds, limits)
    found = [_volume(database, ds, volumes, limits), _freshness(database, ds, ends, limits)]
    found += f.drifted(drifts, limits)
    found += [f.maturity(_one(database, "SELECT avg(click_mature::INT) FROM bags"), limits)]
    found += propensities(database, legal, limits)
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


def _freshness(
    database: "duckdb.DuckDBPyConnection", ds: str, ends: Mapping[str, float], limits: Unusual
) -> f.Finding:
    hour = "(epoch(max(shown_at)) - epoch(max(CAST(ds AS DATE)))) / 3600"
    last = _one(database, f"SELECT {hour} FROM bags")
    recent = database.execute(f"SELECT {hour} FROM past GROUP BY ds").fetchall()
    return f.freshness(last, same_weekdays(ds, ends), [one for (one,) in recent], limits)


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
