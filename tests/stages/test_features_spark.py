"""Feast's offline store on Spark gives the features that it gives on DuckDB."""

import importlib.util
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_day import judge
from tiny_logs import DS, SLOTS, click, impression, write_catalog, write_lines

from components.adapters.feature_spark import spark_settings
from components.adapters.feature_store import FeatureDoor, Offline
from components.errors import Failed
from components.materialize_features import stage
from components.materialize_features.content import CONTENT_FEATURES
from components.materialize_features.history import (
    CELL_FEATURES,
    ELEMENT_FEATURES,
    PRODUCT_FEATURES,
)

INSTALLED = importlib.util.find_spec("pyspark") is not None
needs_spark = pytest.mark.skipif(
    not INSTALLED or shutil.which("java") is None,
    reason="Spark needs Java 17 (apt-get install openjdk-17-jre-headless) and the extra spark",
)
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
VIEWS = {
    "element_history": ("element_key", ELEMENT_FEATURES),
    "product_history": ("product_id", PRODUCT_FEATURES),
    "cell_history": ("cell_key", CELL_FEATURES),
    "element_content": ("element_key", CONTENT_FEATURES),
}
KEYS = [f"k{number}" for number in range(12)]


def at(day: float) -> datetime:
    return FIRST + timedelta(days=day)


def write_views(folder: Path) -> None:
    """Every key on some of 60 days, a third of the rows late or corrected, some values unknown."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    for view, (key, features) in VIEWS.items():
        rows = [
            (name, day, late)
            for name in KEYS
            for day in range(60)
            for late in range(3)
            if rng.random() < (0.05, 0.02, 0.01)[late]
        ]
        columns = {key: pa.array([row[0] for row in rows])}
        for feature in features:
            found = rng.normal(size=len(rows)).astype(np.float32)
            columns[feature] = pa.array(found, mask=rng.random(len(rows)) < 0.1)
        columns["event_timestamp"] = pa.array([at(row[1]) for row in rows], INSTANT)
        columns["created_timestamp"] = pa.array([at(row[1] + row[2]) for row in rows], INSTANT)
        pq.write_table(pa.table(columns), folder / f"{view}.parquet")


@pytest.fixture(autouse=True, scope="module")
def _session() -> Iterator[None]:
    """Ends Spark's session, and with it its JVM's work, after this module."""
    yield
    if INSTALLED:
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        if session is not None:
            session.stop()


def known(folder: Path, offline: Offline) -> list[dict]:
    """What each key is known for at the start of every sixth day, by key and day."""
    door = FeatureDoor(folder, "engines", offline=offline)
    door.apply()
    asked = [(key, day) for key in KEYS for day in range(0, 90, 6)]
    names = pa.array([key for key, _ in asked])
    keys = {key: names for key, _ in VIEWS.values()}
    keys |= {"event_timestamp": pa.array([at(day) for _, day in asked], INSTANT)}
    found = door.history_at(pa.table(keys), "serving_features")
    found = found.set_column(
        found.schema.get_field_index("event_timestamp"),
        "event_timestamp",
        found["event_timestamp"].cast(INSTANT),
    )
    return sorted(found.to_pylist(), key=lambda row: (row["element_key"], row["event_timestamp"]))


@needs_spark
def test_both_engines_know_the_same_at_every_instant(tmp_path: Path) -> None:
    write_views(tmp_path / "duckdb")
    shutil.copytree(tmp_path / "duckdb", tmp_path / "spark")
    theirs, ours = known(tmp_path / "spark", "spark"), known(tmp_path / "duckdb", "duckdb")
    assert len(ours) == len(KEYS) * 15
    assert sum(row["lift_28"] is not None for row in ours) > 60
    assert theirs == ours


@needs_spark
def test_both_engines_make_the_same_training_set(tmp_path: Path) -> None:
    days = ("2026-03-09", DS)
    write_catalog(tmp_path, days[0])
    for ds in days:
        write_lines(tmp_path, "impressions", ds, [impression(n, ds) for n in range(12)])
        write_lines(tmp_path, "clicks", ds, [click(n, ds) for n in (1, 4)])
        judged = judge(tmp_path, ds)
    made: dict[str, pa.Table] = {}
    for offline in ("duckdb", "spark"):
        day = judged.arrived.day.model_copy(update={"work": str(tmp_path / offline)})
        settings = stage.Settings(
            project="tiny",
            slots=SLOTS,
            holdout_days=1,
            holdout_share=None,
            memory="500MB",
            offline=offline,
        )
        told = stage._work(day, settings)
        assert told.parity["sampled"] == told.parity["equal"] > 5
        place = tmp_path / "store" / day.path(stage.NAME, "training_set.parquet")
        made[offline] = pq.ParquetFile(place).read()
    assert made["spark"].equals(made["duckdb"])
    assert len(made["spark"]) == 24


def test_spark_listens_on_loopback_only_where_no_cluster_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not INSTALLED:
        with pytest.raises(Failed, match="install the extra `spark`"):
            spark_settings(tmp_path)
        return
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    told = spark_settings(tmp_path)["spark_conf"]
    assert told["spark.driver.bindAddress"] == told["spark.driver.host"] == "127.0.0.1"
    monkeypatch.setenv("SPARK_MASTER", "k8s://https://cluster")
    assert "spark.driver.host" not in spark_settings(tmp_path)["spark_conf"]
