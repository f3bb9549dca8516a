"""A killed training of the reward model goes on to the same weights; what it learned from names it."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CONTEXT, planted

from model import checkpoint as disk
from model.reward.config import RewardConfig
from model.reward.dispersion import USUAL, estimated
from model.reward.fit import fit_reward

CONFIG = RewardConfig(steps=48, batch=512, buckets=256, members=2, id_dropout=0.3)


def learned(folder: Path, config: RewardConfig, stop: int | None = None) -> dict[str, torch.Tensor]:
    """Tensors of a training with a checkpoint; killed after `stop` steps where given."""
    world = planted(seed=4, rows=3000)
    half = np.arange(len(world.bags)) % 5 == 0

    def show(done: int, total: int) -> None:
        if stop is not None and done >= stop:
            raise KeyboardInterrupt

    train, valid = (world.bags.take(np.flatnonzero(part)) for part in (~half, half))
    reward = fit_reward(
        train, valid, world.elements, CONTEXT, config, seed=1,
        checkpoint=folder / "reward", progress=show,
    )  # fmt: skip
    return reward.state()[0]


@pytest.mark.parametrize("stop", [3, 24, 47])
def test_a_run_stopped_anywhere_ends_with_the_weights_of_an_unbroken_one(tmp_path, stop) -> None:
    whole = learned(tmp_path / "whole", CONFIG)
    with pytest.raises(KeyboardInterrupt):
        learned(tmp_path / "broken", CONFIG, stop)
    again = learned(tmp_path / "broken", CONFIG)
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(tmp_path) -> None:
    learned(tmp_path, CONFIG)
    other = replace(CONFIG, learning_rate=0.01)
    fresh = learned(tmp_path / "fresh", other)
    again = learned(tmp_path, other)
    assert all(torch.equal(fresh[name], again[name]) for name in fresh)


SCRIPT = """
import sys
from pathlib import Path
from test_reward_resume import CONFIG, learned
from dataclasses import replace
from safetensors.torch import save_file
save_file(learned(Path(sys.argv[1]), replace(CONFIG, steps=96)), sys.argv[2])
"""


def test_a_process_killed_by_the_system_goes_on_from_its_checkpoint(tmp_path) -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join(str(root / part) for part in ("tests/laws", "tests/fakes", "."))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def begun(folder: str, to: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / folder), str(tmp_path / to)]
        return subprocess.Popen(command, env=env)

    running = begun("killed", "never")
    kept = tmp_path / "killed" / "reward"
    while not kept.is_file() and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (tmp_path / "never").exists()
    for folder, to in (("killed", "again"), ("whole", "unbroken")):
        assert begun(folder, to).wait(timeout=120) == 0
    assert (tmp_path / "again").read_bytes() == (tmp_path / "unbroken").read_bytes()


def test_a_torn_checkpoint_is_begun_anew(tmp_path) -> None:
    whole = learned(tmp_path, CONFIG)
    file = tmp_path / "reward"
    file.write_bytes(file.read_bytes()[:100])
    assert disk.load(file, "any") is None
    again = learned(tmp_path, CONFIG)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_dispersion_is_one_of_binomial_counts_and_grows_with_what_is_added() -> None:
    world, rng = planted(seed=2, rows=4000), np.random.default_rng(0)
    many = replace(world.bags, element=np.zeros_like(world.bags.element))
    shown = np.full(len(many), 200.0)
    even = rng.binomial(200, 0.1, len(many)).astype(float)
    uneven = rng.binomial(200, rng.beta(8, 72, len(many))).astype(float)
    counted = [estimated(replace(many, impressions=shown, clicks=c)) for c in (even, uneven)]
    assert counted[0] == pytest.approx(1.0, abs=0.08)
    assert counted[1] == pytest.approx(1 + 199 / 81, rel=0.15)  # beta-binomial: 1 + (n - 1) rho


def test_rows_that_repeat_nothing_say_nothing_of_dispersion() -> None:
    world = planted(seed=3, rows=100)
    element = np.arange(len(world.bags))[:, None] + np.zeros_like(world.bags.element)
    assert estimated(replace(world.bags, element=element.astype(np.int32))) == USUAL
