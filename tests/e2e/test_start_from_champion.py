"""A day begins from the champion's reward model, fixed by the attempt's name, and is reproduced."""

import hashlib
import json
from pathlib import Path

import pytest
from small_shop import DS, write_config, write_shop

from components.day import Day
from components.errors import Refused
from components.start import Start, champion_start, read_start, start_reward
from pipelines import deciding, reproducing, running

EARLIER = "2026-11-21"
FROM_CHAMPION = (
    "\ntrain_reward: {start: champion, options: {members: 2, steps: 40, buckets: 1024}}\n"
)


def result_of(root: Path, attempt: str) -> dict[str, object]:
    place = root / "store" / f"days/ds={DS}/attempt={attempt}" / "train_reward/result.json"
    return json.loads(place.read_text())


def place_of(root: Path, attempt: str = "") -> Day:
    return Day(ds=DS, store=str(root / "store"), work=str(root / "work"), attempt=attempt)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config that begins from the champion, which learned from an earlier day."""
    root = tmp_path_factory.mktemp("start")
    write_shop(root, days=2, impressions=1500, products=4)
    config = write_config(root, str(root / "store"))
    told = config.read_text()
    line = next(line for line in told.splitlines() if line.startswith("train_reward:"))
    config.write_text(told.replace(line, "") + FROM_CHAMPION)
    first = running.run(config, EARLIER, None, "local")
    assert first.attempt is not None
    deciding.open_desk(config, "anna").registry.point("champion", 1)
    return config


def test_a_day_begins_from_the_champion_and_is_made_again_to_the_same_bits(served: Path) -> None:
    root = served.parent
    done = running.run(served, DS, None, "local")
    assert done.attempt is not None
    assert result_of(root, done.attempt)["start"] == "version 1"
    named = read_start(place_of(root, done.attempt))
    assert named is not None
    assert named == start_of(root, named.bundle)
    again = reproducing.reproduce(served, 2, force=False)
    assert again["answer"] == "identical", again


def test_a_champion_that_learned_from_judging_days_is_not_begun_from(served: Path) -> None:
    root = served.parent
    bundle = deciding.open_desk(served, "anna").registry.get(1).bundle
    learned = json.loads((root / "store" / bundle / "evidence.json").read_text())
    days = learned["policy_value"]["learned_days"]
    reward, said = start_reward(place_of(root), start_of(root, bundle), set(days))
    assert reward is None
    assert days[0] in said


def start_of(root: Path, bundle: str) -> Start:
    content = (root / "store" / bundle / "manifest.json").read_bytes()
    return Start(version=1, bundle=bundle, manifest=hashlib.sha256(content).hexdigest())


def test_a_bundle_that_is_another_one_now_is_refused(served: Path) -> None:
    root = served.parent
    bundle = deciding.open_desk(served, "anna").registry.get(1).bundle
    other = start_of(root, bundle).model_copy(update={"manifest": "0" * 64})
    with pytest.raises(Refused, match="not the one it was"):
        start_reward(place_of(root), other, set())


def test_nothing_is_begun_from_where_none_was_asked_for(tmp_path: Path) -> None:
    day = Day(ds=DS, store=str(tmp_path / "store"), work=str(tmp_path / "work"), attempt="a")
    assert champion_start(day, None) is None
    assert read_start(day) is None
