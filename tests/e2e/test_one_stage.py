"""A TrainJob's command for real: two processes under torchrun leave what the graph's step leaves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load
from small_shop import DS, write_config, write_shop

from components.plan import day_of
from pipelines import running
from pipelines.config import load_config
from pipelines.local import Summary

ROOT = Path(__file__).resolve().parents[2]


def test_a_stage_alone_under_torchrun_learns_what_the_day_would(tmp_path: Path) -> None:
    write_shop(tmp_path, days=2, impressions=900, products=4)
    config = write_config(tmp_path, str(tmp_path / "store"))
    begun = running.run(config, DS, "materialize_features", "local")
    assert begun.verdict is None, begun.reasons
    attempt = begun.attempt
    plan = tmp_path / "plan.json"
    plan.write_text(running.make_plan(load_config(config)))
    given = {"GENCO_PLAN": str(plan), "GENCO_DS": DS, "GENCO_ATTEMPT": attempt}
    tool = Path(sys.executable).parent / "torchrun"
    command = [str(tool), "--standalone", "--nproc-per-node=2", "-m", "pipelines.one_stage"]
    done = subprocess.run(
        [*command, "train_reward"],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    day = day_of(plan.read_text(), DS).model_copy(update={"attempt": attempt})
    storage, weights = day.storage(), day.path("train_reward", "reward.safetensors")
    kept = load(storage.read(weights))
    assert told["train"] > 0
    (tmp_path / "store" / day.path("train_reward", "result.json")).unlink()
    running.run(config, DS, "train_reward", "local")
    alone = load(storage.read(weights))
    assert alone.keys() == kept.keys()
    for name, weight in alone.items():
        np.testing.assert_allclose(kept[name], weight, atol=1e-4, err_msg=name)


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17")
def test_a_sparkapplications_main_file_ingests_the_days_as_the_graphs_step_does(
    tmp_path: Path,
) -> None:
    write_shop(tmp_path, days=1, impressions=300, products=4)
    spark = "ingest: {engine: spark}\n"
    config = write_config(tmp_path, str(tmp_path / "spark"), spark)
    given = {"GENCO_PLAN": running.make_plan(load_config(config)), "GENCO_DS": DS}
    done = subprocess.run(
        [Path(sys.executable).parent / "spark-submit", "pipelines/one_stage.py", "ingest_logs"],
        cwd=ROOT,
        env={**os.environ, **given, "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert sorted(told["made"]) == sorted(told["again"])
    here = write_config(tmp_path, str(tmp_path / "here"))
    running.run(here, DS, "ingest_logs", "local")
    bags = bags_below(tmp_path / "here")
    assert len(bags) > 250
    assert bags_below(tmp_path / "spark") == bags


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17")
def test_a_sparkapplications_main_file_makes_the_features_that_duckdb_makes(tmp_path: Path) -> None:
    write_shop(tmp_path, days=2, impressions=900, products=4)
    here = write_config(tmp_path, str(tmp_path / "duckdb"))
    made = [
        features_of(tmp_path / "duckdb", running.run(here, DS, "materialize_features", "local"))
    ]
    config = write_config(tmp_path, str(tmp_path / "spark"), "features: {offline: spark}\n")
    begun = running.run(config, DS, "validate_logs", "local")
    plan = running.make_plan(load_config(config))
    given = {"GENCO_PLAN": plan, "GENCO_DS": DS, "GENCO_ATTEMPT": begun.attempt}
    submit = Path(sys.executable).parent / "spark-submit"
    done = subprocess.run(
        [submit, "pipelines/one_stage.py", "materialize_features"],
        cwd=ROOT,
        env={**os.environ, **given, "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["parity"]["sampled"] == told["parity"]["equal"] > 0
    made.append(features_of(tmp_path / "spark", begun))
    assert len(made[0]["rows"]) > 700
    assert made[1] == made[0]


def features_of(store: Path, run: Summary) -> dict:
    """What materialize_features left of a run: its result, and the training set's rows by bag."""
    assert run.verdict is None, run.reasons
    folder = store / "days" / f"ds={DS}" / f"attempt={run.attempt}" / "materialize_features"
    rows = pq.read_table(folder / "training_set.parquet").sort_by("bag_id").to_pylist()
    return {**json.loads((folder / "result.json").read_text()), "rows": rows}


def bags_below(store: Path) -> list[str]:
    """Ids of every bag that ingest left in a store, in their order."""
    files = store.glob("days/*/*/ingest_logs/bags*.parquet")
    return sorted(row for file in files for row in pq.read_table(file)["bag_id"].to_pylist())
