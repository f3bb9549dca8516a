"""Ingest on Spark gives what it gives on DuckDB: bags, quarantine and accounts, row by row."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzed_lines import KINDS, fuzzed_lines
from tiny_day import TinyDay, judge, unbalanced
from tiny_logs import DS, click, impression, write_catalog, write_lines

from components.ingest_logs import on_spark

BEFORE = "2026-03-09"
FUZZED = 150  # bent lines of each kind
INSTALLED = importlib.util.find_spec("pyspark") is not None
pytestmark = pytest.mark.skipif(
    not INSTALLED or shutil.which("java") is None,
    reason="Spark needs Java 17 (apt-get install openjdk-17-jre-headless) and the extra spark",
)


def write_adversarial(root: Path) -> None:
    """Two days with every way a row may go, as JSON Lines and as Parquet."""
    write_catalog(root, BEFORE)
    rules = root / "catalog/forbidden" / f"dt={BEFORE}" / "part-0.parquet"
    rules.parent.mkdir(parents=True)
    clash = {"slot_a": "title", "element_a": "t2", "slot_b": "image", "element_b": "m1"}
    pq.write_table(pa.Table.from_pylist([{"product_id": "p1", **clash}]), rules)
    for ds in (BEFORE, DS):
        write_lines(root, "impressions", ds, [impression(n, ds) for n in range(40)])
    edge = [
        impression(0, impression_id="twice", propensity=1.5),
        impression(0, impression_id="twice"),
        impression(0, impression_id="midnight", shown_at=f"{DS}T23:50:00Z"),
        impression(0, impression_id="early", shown_at=f"{BEFORE}T23:50:00Z"),
        impression(0, impression_id="bad", propensity=0),
        impression(0, impression_id="broken", shown_at="noon"),
        impression(0, impression_id="empty", creative={}),
        impression(0, impression_id="slot", creative={"title": "t0", "badge": "b1"}),
        impression(0, impression_id="element", creative={"title": "t9", "image": "m0"}),
        impression(1, impression_id="clash", creative={"title": "t2", "image": "m1"}),
        impression(0, impression_id="context", context={"device": "desk"}),
        *(impression(n, impression_id=f"robot{n}", user_id="robot") for n in range(30)),
        *(impression(n, impression_id=f"robot{n}", user_id="robot") for n in range(5)),
    ]
    write_lines(root, "impressions", DS, edge, "part-1-edge")
    source = root / "logs/impressions" / f"dt={DS}"
    shutil.copyfile(source / "part-0.jsonl.gz", source / "part-9-again.jsonl.gz")
    (source / "part-8-torn.jsonl.gz").write_bytes((source / "part-0.jsonl.gz").read_bytes()[:99])
    (source / "part-7-none.parquet").write_bytes(b"")
    rows = [impression(n, impression_id=f"parquet{n}", shown_at=f"{DS}T09:00:00") for n in range(9)]
    rows[3]["propensity"] = 7.0
    pq.write_table(pa.Table.from_pylist(rows), source / "part-2.parquet")
    clicks = [click(n) for n in range(12)] + [click(1), click(0, impression_id="nobody")]
    clicks += [click(2, clicked_at=f"{DS}T12:00:00Z"), click(0, impression_id="broken")]
    clicks += [click(0, impression_id="bad"), click(4, clicked_at=f"{DS}T10:03:59Z")]
    write_lines(root, "clicks", DS, [*clicks, click(5, BEFORE, clicked_at=f"{BEFORE}T10:30:00Z")])
    bought = {"impression_id": f"{DS}-i1", "converted_at": f"{DS}T12:00:00Z", "value": 3.5}
    late = {"impression_id": f"{BEFORE}-i1", "converted_at": f"{DS}T10:01:00Z", "value": 1}
    write_lines(root, "conversions", DS, [bought, bought, bought | {"value": 0.1}, late])
    row = {k: v for k, v in impression(1).items() if k not in ("impression_id", "user_id")}
    counts = [{"clicks": 2}, {"clicks": 4}, {"clicks": -1}, {"conversions": -1}, {"value": 0.1}]
    write_lines(root, "aggregates", DS, [row | {"impressions": 3} | count for count in counts])
    for number, kind in enumerate(KINDS):
        lines = fuzzed_lines(kind, FUZZED, number)
        target = root / "logs" / kind / f"dt={DS}" / "fuzz.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"\n".join(lines))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TinyDay]]:
    root = tmp_path_factory.mktemp("engines")
    write_adversarial(root)
    days = {}
    for engine in ("duckdb", "spark"):
        place = root / engine
        place.mkdir()
        for part in ("logs", "catalog"):
            (place / part).symlink_to(root / part)
        days[engine] = judge(place, quarantined_share=1, engine=engine)
    yield days
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()


def sorted_rows(day: TinyDay, table: str) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in day.rows(table))


@pytest.mark.parametrize("table", ["bags", "quarantine"])
def test_both_engines_give_the_same_rows(both: dict[str, TinyDay], table: str) -> None:
    rows = {engine: sorted_rows(day, table) for engine, day in both.items()}
    assert len(rows["duckdb"]) > 50
    assert rows["spark"] == rows["duckdb"]


def test_the_log_reaches_every_way_a_row_may_go(both: dict[str, TinyDay]) -> None:
    reasons = {
        reason["rule"] for row in both["spark"].rows("quarantine") for reason in row["reasons"]
    }
    bags = {"day", "propensity", "shown", "slot", "element", "allowed", "traffic"}
    events = {"orphan", "before", "window", "unusable", "json"}
    counts = {"clicks", "negative_clicks", "conversions"}
    assert reasons >= bags | events | counts
    assert any(rule.startswith("type.") for rule in reasons)
    assert any(rule.startswith("missing.") for rule in reasons)


def test_both_engines_account_alike_for_every_file(both: dict[str, TinyDay]) -> None:
    assert both["spark"].manifest["accounting"] == both["duckdb"].manifest["accounting"]
    assert both["spark"].arrived.unreadable == both["duckdb"].arrived.unreadable
    assert len(both["spark"].arrived.unreadable) == 2
    assert unbalanced(both["spark"].manifest) == []


def test_the_day_before_is_the_same_too(both: dict[str, TinyDay]) -> None:
    published: dict[str, list[dict[str, Any]]] = {}
    for engine, day in both.items():
        told = json.loads((day.root / "store/manifests" / f"ds={BEFORE}.json").read_text())
        earlier = TinyDay(day.root, day.arrived, day.result, told)
        published[engine] = [*sorted_rows(earlier, "bags"), *told["accounting"]]
    assert published["spark"] == published["duckdb"]


def test_rows_are_spread_over_several_buckets(both: dict[str, TinyDay]) -> None:
    assert len(both["spark"].manifest["tables"]["bags"]) >= 2
    assert on_spark.A_BUCKET < 2**30
