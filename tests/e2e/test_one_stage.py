"""A TrainJob's command for real: two processes under torchrun leave what the graph's step leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.torch import load
from small_shop import DS, write_config, write_shop

from components.plan import day_of
from pipelines import running
from pipelines.config import load_config

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
