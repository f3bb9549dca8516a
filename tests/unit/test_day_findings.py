"""Findings of a day: usual days pass, planted faults warn, too little history is told."""

import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.validate_logs.beyond import findings_of
from components.validate_logs.propensities import legal_counts
from validation.sanity import findings as f
from validation.sanity.limits import Unusual

LIMITS = Unusual()
WINDOWS = {"clicks": 1.0, "conversions": 168.0}


def bags(seed: int, ds: str, rows: int = 4_000, **bent: Any) -> pa.Table:
    """A day of two products, three combinations of known propensities, users of 4 displays."""
    rng = np.random.default_rng(seed)
    chances = np.array([0.6, 0.3, 0.1])
    shown = rng.choice(3, rows, p=chances)
    told = bent.get("told", chances)[shown]
    clicks = (rng.random(rows) < bent.get("rate", 0.1)).astype(int)
    hours = rng.integers(0, bent.get("until", 24), rows)
    start = np.datetime64(ds, "s")
    return pa.table(
        {
            "ds": [ds] * rows,
            "shown_at": pa.array(start + hours * np.timedelta64(3_600, "s")),
            "product_id": [f"p{n % 2}" for n in range(rows)],
            "cluster_id": [f"{ds}-u{n % (rows // 4)}" for n in range(rows)],
            "context": pa.array([{"device": d} for d in rng.choice(["a", "b"], rows)]),
            "creative": pa.array([[{"slot": "title", "element": f"t{k}"}] for k in shown]),
            "propensity": told,
            "policy": ["log-1"] * rows,
            "impressions": [1] * rows,
            "clicks": clicks,
            "conversions": clicks * 0,
            "click_mature": [True] * rows,
            "conversion_mature": [False] * rows,
            "clicked_at": pa.nulls(rows, pa.timestamp("s")),
            "converted_at": pa.nulls(rows, pa.timestamp("s")),
        }
    )


LEGAL = {"p0": 3, "p1": 3}  # what the bags below are made of


def found(tmp_path: Path, today: pa.Table, **volumes: int) -> dict[str, str]:
    """check -> outcome of the day 2026-03-10 against 2026-03-08 and -09."""
    files = {}
    for seed, ds in ((1, "2026-03-08"), (2, "2026-03-09")):
        files[ds] = [tmp_path / f"{ds}.parquet"]
        pq.write_table(bags(seed, ds), files[ds][0])
    database = duckdb.connect()
    database.register("rows", today)
    database.execute("CREATE TABLE bags AS SELECT * FROM rows")
    told = findings_of(database, "2026-03-10", files, volumes, LIMITS, WINDOWS, legal=LEGAL)
    return {one["check"]: one["outcome"] for one in told["findings"]}


def test_a_usual_day_warns_of_nothing(tmp_path: Path) -> None:
    told = found(tmp_path, bags(3, "2026-03-10"))
    assert "warn" not in told.values()
    assert told["mean weight"] == told["drift"] == told["click-through"] == "pass"


@pytest.mark.parametrize(
    ("check", "bent"),
    [
        ("mean weight", {"told": np.array([0.3, 0.15, 0.05])}),
        ("propensity sum", {"told": np.array([0.9, 0.8, 0.7])}),
        ("propensity sum", {"told": np.array([0.6, 0.25, 0.1])}),
        ("click-through", {"rate": 0.2}),
        ("support", {"told": np.array([0.6, 0.3, 0.00001])}),
        ("freshness", {"until": 12}),
    ],
)
def test_a_planted_fault_warns(tmp_path: Path, check: str, bent: dict[str, Any]) -> None:
    assert found(tmp_path, bags(3, "2026-03-10", **bent))[check] == "warn"


def test_immature_conversions_are_not_held_against_the_day(tmp_path: Path) -> None:
    assert "conversion" not in found(tmp_path, bags(3, "2026-03-10"))


def test_volume_is_held_against_the_same_weekday_only() -> None:
    usual = [1_000, 1_100, 950]
    assert f.volume(1_050, usual, LIMITS).outcome == "pass"
    assert f.volume(200, usual, LIMITS).outcome == "warn"
    assert f.volume(9_000, usual, LIMITS).outcome == "warn"
    assert f.volume(1_050, usual[:2], LIMITS).outcome == "insufficient"


def test_freshness_is_held_against_the_same_weekday_once_enough_are_known() -> None:
    weekend, week = [18.0, 17.5, 18.0], [24.0] * 7
    assert f.freshness(17.0, weekend, week, LIMITS).outcome == "pass"
    assert f.freshness(17.0, weekend[:2], week, LIMITS).outcome == "warn"
    assert "3 same weekdays" in f.freshness(17.0, weekend, week, LIMITS).says
    assert "7 days before" in f.freshness(17.0, weekend[:2], week, LIMITS).says
    assert f.freshness(17.0, [], [], LIMITS).outcome == "insufficient"


def test_propensities_add_up_to_one_only_where_all_there_is_was_shown(tmp_path: Path) -> None:
    short = bags(3, "2026-03-10", told=np.array([0.6, 0.25, 0.1]))
    for legal, outcome in ((LEGAL, "warn"), ({"p0": 4, "p1": 2}, "pass"), ({}, "pass")):
        with duckdb.connect() as database:
            database.register("rows", short)
            database.execute("CREATE TABLE bags AS SELECT * FROM rows")
            told = findings_of(database, "2026-03-10", {}, {}, LIMITS, WINDOWS, legal=legal)
        (one,) = [one for one in told["findings"] if one["check"] == "propensity sum"]
        assert one["outcome"] == outcome, one["says"]
        assert ("below 1 in 4 of the 4 cells" in one["says"]) == (outcome == "warn")


def test_how_many_combinations_there_are_is_told_by_lists_and_candidates(tmp_path: Path) -> None:
    elements = [
        {"product_id": product, "slot": slot, "element_id": f"e{n}"}
        for product in ("listed", "full", "partly", "many")
        for slot in ("title", "image")
        for n in range(200 if product == "many" else 3)
    ]
    listed = [{"product_id": "listed", "creative": {"title": f"e{n}"}} for n in (0, 1, 1)]
    for name, rows in (("elements", elements), ("combinations", listed)):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    both, one = [{"slot": "title"}, {"slot": "image"}], [{"slot": "title"}]
    shown = [("listed", one), ("full", both), ("many", both), ("partly", both), ("partly", one)]
    with duckdb.connect() as database:
        rows = pa.Table.from_pylist([{"product_id": p, "creative": c} for p, c in shown])
        database.register("rows", rows)
        database.execute("CREATE TABLE bags AS SELECT * FROM rows")
        told = legal_counts(database, tmp_path / "elements", tmp_path / "combinations")
    assert told == {"listed": 2, "full": 9}


def test_the_mean_weight_of_true_propensities_is_one(tmp_path: Path) -> None:
    told = []
    for seed in range(20):
        database = duckdb.connect()
        database.register("rows", bags(seed, "2026-03-10", rows=800))
        database.execute("CREATE TABLE bags AS SELECT * FROM rows")
        findings = findings_of(database, "2026-03-10", {}, {}, LIMITS, WINDOWS)["findings"]
        told += [one["value"] for one in findings if one["check"] == "mean weight"]
    assert np.mean(told) == pytest.approx(1.0, abs=3 * np.std(told) / math.sqrt(len(told)))


def test_few_displays_of_seldom_shown_combinations_cannot_tell_a_mean_weight() -> None:
    rows = bags(0, "2026-03-10", rows=60)
    rare = pa.array([[{"slot": "title", "element": f"t{n}"}] for n in range(60)])
    rows = rows.set_column(rows.schema.get_field_index("creative"), "creative", rare)
    rows = rows.set_column(rows.schema.get_field_index("propensity"), "propensity", [[1e-3] * 60])
    with duckdb.connect() as database:
        database.register("rows", rows)
        database.execute("CREATE TABLE bags AS SELECT * FROM rows")
        told = findings_of(database, "2026-03-10", {}, {}, LIMITS, WINDOWS)["findings"]
    (weight,) = [one for one in told if one["check"] == "mean weight"]
    assert (weight["value"], weight["outcome"]) == (0.0, "insufficient")


def test_equal_rates_are_called_unusual_less_often_than_the_level_allows() -> None:
    rng = np.random.default_rng(0)
    warned = 0
    for _ in range(500):
        rate, before = rng.binomial(4_000, 0.1, 2) / 4_000
        spread = math.sqrt(0.1 * 0.9 / 4_000)
        row = {"policy": "p", "rate": rate, "spread": spread}
        row |= {"earlier": before, "earlier_spread": spread}
        warned += f.rates("click-through", [row], LIMITS)[0].outcome == "warn"
    assert warned <= 4
