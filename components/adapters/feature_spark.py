"""Feast's offline store on Spark (extra `spark`): settings and sources, for feature_store.py."""

import importlib.util
import os
from pathlib import Path
from typing import Any

from components.errors import Failed

LOCAL = "local[2]"


def spark_settings(folder: Path) -> dict[str, Any]:
    """Feast's offline store on Spark, in UTC; SPARK_MASTER names a cluster, else two threads here.

    Without a cluster everything listens on loopback only.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise Failed(
            "features.offline is spark, but pyspark is not installed; install the extra `spark` "
            "(pip install '.[spark]') and Java 17, or set features.offline: duckdb"
        )
    master = os.environ.get("SPARK_MASTER", LOCAL)
    settings = {
        "spark.master": master,
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    if master.startswith("local"):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        settings |= {"spark.sql.shuffle.partitions": "4"}
    return {"type": "spark", "spark_conf": settings}


def spark_source(source: Any, path: str) -> Any:
    """The same table for Spark."""
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

    return SparkSource(
        name=source.name,
        path=path,
        file_format="parquet",
        timestamp_field=source.timestamp_field,
        created_timestamp_column=source.created_timestamp_column,
    )
