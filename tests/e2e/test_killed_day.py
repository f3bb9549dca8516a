"""A day killed with SIGKILL at any moment and run again publishes what an undisturbed run does.

One chain of runs is killed inside every stage and at the end of every stage. GENCO_KILLS is the
number of moments beside it (default 1); GENCO_KILL_SEED chooses others.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from published_files import published_files
from small_shop import DS, write_config, write_shop
from watched_runs import Run, start

from pipelines import running
from pipelines.config import load_config
from pipelines.environment import source_digest
from pipelines.stages import STAGES

KILLS = int(os.environ.get("GENCO_KILLS", "1"))
SEED = int(os.environ.get("GENCO_KILL_SEED", "0"))
STARTING = 0.15  # of the whole: importing and reading the plan, where there is little to break


@dataclass(frozen=True)
class Undisturbed:
    """Where the logs lie, seconds of the whole run, what it published, and by which code."""

    root: Path
    environment: dict[str, str]
    seconds: float
    files: dict[str, str]
    code: str


def _start(config: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    genco = Path(sys.executable).with_name("genco")
    return subprocess.Popen(
        [str(genco), "run", "--ds", DS, "--config", str(config), "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _finish(config: Path, environment: dict[str, str]) -> dict[str, object]:
    process = _start(config, environment)
    said, complained = process.communicate(timeout=300)
    assert process.returncode in (0, 3, 4), complained
    return json.loads(said.splitlines()[-1])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    root = tmp_path_factory.mktemp("killed")
    write_shop(root, days=2, impressions=900, products=4)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    environment = {**os.environ, "GENCO_SIGNING_KEY": pem}
    code = source_digest()
    began = time.monotonic()
    summary = _finish(write_config(root, str(root / "whole")), environment)
    seconds = time.monotonic() - began
    assert summary["verdict"] in ("HOLD", "PROMOTE", "REJECT")
    return Undisturbed(root, environment, seconds, published_files(root / "whole"), code)


def _moment(number: int) -> float:
    """A share of the whole run's time: one in each of KILLS equal parts."""
    within = random.Random(f"{SEED} {number}").random()
    return STARTING + (1 - STARTING) * (number + within) / KILLS


@pytest.mark.parametrize("number", range(KILLS))
def test_a_day_killed_and_run_again_publishes_the_undisturbed_bytes(
    undisturbed: Undisturbed, number: int
) -> None:
    name = f"killed{number}"
    store = undisturbed.root / name
    config = write_config(undisturbed.root, str(store))
    process = _start(config, undisturbed.environment)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_moment(number) * undisturbed.seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    stages = sorted({path.parent.name for path in store.glob("days/*/*/*/*")})
    summary = _finish(config, undisturbed.environment)
    assert summary["verdict"] in ("HOLD", "PROMOTE", "REJECT", "UNCHANGED")
    files = published_files(store)
    where = f"killed at {_moment(number):.2f} of {undisturbed.seconds:.1f} s, begun: {stages}"
    if source_digest() != undisturbed.code:
        pytest.skip("the sources were edited meanwhile: other code is another attempt")
    assert files.keys() == undisturbed.files.keys(), where
    assert [path for path in files if files[path] != undisturbed.files[path]] == [], where


# ---- at every boundary of a stage, and inside every stage


def killed_at(run: Run, stage: str, event: str, after: float) -> bool:
    """Whether the run was killed `after` seconds behind the event of the stage."""
    for told in run.events():
        if (told["stage"], told["event"]) == (stage, event):
            time.sleep(after)
            run.kill()
            return True
    return False


def test_a_day_killed_inside_every_stage_and_between_all_of_them_publishes_the_same_bytes(
    undisturbed: Undisturbed,
) -> None:
    store, logs = undisturbed.root / "chain", undisturbed.root / "logs-of-runs"
    logs.mkdir()
    plan = running.make_plan(load_config(write_config(undisturbed.root, str(store))))
    surroundings = {**undisturbed.environment, "GENCO_LOG": "json"}
    whole = start(
        running.make_plan(
            load_config(write_config(undisturbed.root, str(undisturbed.root / "timed")))
        ),
        DS,
        logs / "whole",
        surroundings,
    )
    usual = {e["stage"]: e["seconds"] for e in whole.events() if e["event"] == "complete"}
    assert list(usual) == list(STAGES)
    kills = 0
    for stage in STAGES[:-1]:
        for event, after in (("start", usual[stage] / 2), ("complete", 0.0)):
            run = start(plan, DS, logs / f"{stage}-{event}", surroundings)
            kills += killed_at(run, stage, event, after)
    assert kills >= len(STAGES)
    last = start(plan, DS, logs / "last", surroundings)
    assert [e["event"] for e in last.events() if e["event"] == "fail"] == []
    last.process.join()
    assert last.process.exitcode == 0, last.log.read_text()
    if source_digest() != undisturbed.code:
        pytest.skip("the sources were edited meanwhile: other code is another attempt")
    files = published_files(store)
    assert files.keys() == undisturbed.files.keys()
    assert [path for path in files if files[path] != undisturbed.files[path]] == []
