"""The one door to Spark (extra `spark`): what a session is told, and the session."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import Failed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL = "local[2]"


def spark_conf(folder: Path, key: str) -> dict[str, str]:
    """Settings in UTC; SPARK_MASTER names a cluster, else two threads here, on loopback only.

    key: the config's key that asked for Spark, named where pyspark is not installed.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise Failed(
            f"{key} is spark, but pyspark is not installed; install the extra `spark` "
            f"(pip install '.[spark]') and Java 17, or set {key}: duckdb"
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
    return settings


def open_spark(folder: Path, key: str) -> "SparkSession":
    """The process's session; a running one is taken as it is."""
    settings = spark_conf(folder, key)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers need what this process has
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("genco")
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:
        if type(error).__name__ != "PySparkRuntimeError":
            raise
        raise Failed(
            f"{key} is spark, but Spark did not start ({str(error).splitlines()[0]}); is Java 17 "
            "installed (apt-get install openjdk-17-jre-headless) and SPARK_MASTER right?"
        ) from error
