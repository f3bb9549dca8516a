"""Both trainings by two processes that torchrun starts: the same models, also after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from service_place import require, started
from small_shop import DS, write_config, write_shop

from components.adapters.storage import LocalStorage, open_storage
from components.day import Day
from components.errors import Failed, Refused
from components.plan import day_of, settings_of
from components.together import RESTARTS
from components.train_generator import stage as generator_stage
from components.train_reward import stage as reward_stage
from pipelines import running
from pipelines.config import load_config

# a softmax doesn't hear what all its keys share (tests/laws/test_processes.py)
UNHEARD = ("key.bias", "mixed.bias", "memory.bias")
STEPS = 160  # of the reward model: long enough to be killed in; later Adam makes steps of rounding


@dataclass(frozen=True)
class Taught:
    """A day with features, and the models that one process learns of it."""

    root: Path
    plan: str
    day: Day

    def elsewhere(self, name: str) -> Day:
        """The same day in a store and a work folder of its own, without any model."""
        store = self.root / name
        shutil.copytree(self.root / "store", store, ignore=shutil.ignore_patterns("train_*"))
        return self.day.model_copy(
            update={"store": str(store), "work": str(self.root / "w" / name)}
        )

    def settings(self, stage, **changes):
        return settings_of(self.plan, stage.NAME, stage.Settings).model_copy(update=changes)

    def same(self, day: Day, stage: str, file: str) -> None:
        """Raises where a weight is another than the one process'."""
        expected, found = (
            load_file(one.storage().fetch(one.path(stage, file))) for one in (self.day, day)
        )
        assert expected.keys() == found.keys()
        for name, weight in expected.items():
            if not name.endswith(UNHEARD):
                np.testing.assert_allclose(found[name], weight, atol=2e-3, err_msg=name)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    root = tmp_path_factory.mktemp("taught")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    text = config.read_text().replace("steps: 40", f"steps: {STEPS}")
    config.write_text(text.replace("pool: 128", "pool: 128, checkpoint_every: 3"))
    begun = running.run(config, DS, "train_generator", "local")
    assert begun.verdict is None, begun.reasons
    assert begun.attempt is not None
    plan = running.make_plan(load_config(config))
    day = day_of(plan, DS).model_copy(update={"attempt": begun.attempt})
    return Taught(root, plan, day)


def killed(needle: str, rank: int, when: Path) -> int:
    """Kills the process of this rank among those that were given `needle`, once `when` is there."""
    while not when.exists():
        time.sleep(0.005)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_text().split("\0")
                ranked = f"RANK={rank}" in (entry / "environ").read_text().split("\0")
            except OSError:
                continue
            if ranked and any(word.startswith(needle) for word in command):
                os.kill(int(entry.name), signal.SIGKILL)
                return int(entry.name)
    return 0


def test_two_processes_leave_the_models_of_one_also_when_one_of_them_is_killed(
    taught: Taught, capfd: pytest.CaptureFixture[str]
) -> None:
    day = taught.elsewhere("two")
    told = reward_stage.run(day, taught.settings(reward_stage, processes=2))
    assert told.train > 0
    taught.same(day, "train_reward", "reward.safetensors")
    kept = Path(day.work) / "checkpoints" / f"{day.attempt}-train_generator"
    shot: list[int] = []
    hunter = threading.Thread(target=lambda: shot.append(killed(day.work, 1, kept)))
    hunter.start()
    generator_stage.run(day, taught.settings(generator_stage, processes=2))
    hunter.join()
    assert shot != [0], "the run ended before a process could be killed"
    said = (Path(day.work) / "logs" / f"{day.attempt}-train_generator").read_text()
    assert "went on from step" in said
    taught.same(day, "train_generator", "bundle/generator.safetensors")


def test_what_the_processes_refuse_is_said_by_the_stage(taught: Taught) -> None:
    day = taught.elsewhere("refused")
    settings = taught.settings(reward_stage, processes=2, target="value", seed=-1)
    with pytest.raises(Refused, match="the reward model cannot be trained"):
        reward_stage.run(day, settings)


def test_a_process_that_always_dies_fails_the_stage_with_one_sentence(
    taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = taught.elsewhere("dies")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setattr("components.together.RESTARTS", 0)
    monkeypatch.setattr("components.together.MODULE", "components.no_such_module")
    with pytest.raises(Failed, match=r"process \d ended with exit code 1, 0 restarts included"):
        reward_stage.run(day, taught.settings(reward_stage, processes=2))
    assert RESTARTS > 0


TRAIN = """
import json, sys
from components.day import Day
from components.train_reward.stage import Settings, run
run(Day.model_validate_json(sys.argv[1]), Settings.model_validate_json(sys.argv[2]))
"""


def test_a_checkpoint_on_s3_is_gone_on_from_on_another_machine(
    taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(("s3",)) as place:
        require(place, "s3")
        for name, value in place.environment().items():
            monkeypatch.setenv(name, value)
        where = taught.elsewhere("lost")
        s3 = open_storage("s3://genco/lost")
        for stored in LocalStorage(where.store).listing(""):
            s3.upload(Path(where.store) / stored.path, stored.path)
        day = where.model_copy(update={"store": "s3://genco/lost"})
        settings = taught.settings(reward_stage, processes=2, checkpoints="store")
        given = [day.model_dump_json(), settings.model_dump_json()]
        first = subprocess.Popen([sys.executable, "-c", TRAIN, *given], start_new_session=True)
        path = day.path("train_reward", "checkpoint")
        while first.poll() is None and not s3.exists(path):
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        assert not s3.exists(day.path("train_reward", "result.json"))
        other = day.model_copy(update={"work": str(taught.root / "w" / "other")})
        alone = settings.model_copy(update={"processes": 1})
        reward_stage.run(other, alone)
        fetched = Path(other.work) / "checkpoints" / f"{day.attempt}-train_reward"
        assert fetched.exists()
        assert s3.read(path) == b""
        taught.same(other, "train_reward", "reward.safetensors")
