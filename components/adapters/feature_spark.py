"""Feast's offline store on Spark (extra `spark`): settings and sources, for feature_store.py."""

from pathlib import Path
from typing import Any

from components.adapters.spark import spark_conf


def spark_settings(folder: Path) -> dict[str, Any]:
    """Feast's offline store on Spark, on the session that spark.py describes."""
    return {"type": "spark", "spark_conf": spark_conf(folder, "features.offline")}


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
