"""Looks at the champion, as whole days take them."""

import json
from pathlib import Path

import pytest
from small_shop import DS, write_config, write_shop

from components.promotion import decision_path
from model.evaluation.spending import take
from pipelines import deciding, running


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose day was run, run again, and run as another challenger (another seed)."""
    root = tmp_path_factory.mktemp("looks")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    running.run(config, DS, None, "local")
    running.run(config, DS, None, "local")
    config.write_text(config.read_text() + "\nseed: 5\n")
    running.run(config, DS, None, "local")
    return config


def test_no_attempt_looks_twice_and_judgements_tell_looks_in_order(twice: Path) -> None:
    """Three runs, two challengers: the second run is another only where code changed meanwhile."""
    entries = deciding.open_desk(twice, "anna").entries()
    attempts = [entry["attempt"] for entry in entries if entry["kind"] == "looked"]
    judged = [entry for entry in entries if entry["kind"] == "judged"]
    assert len(set(attempts)) == len(attempts) >= 2
    assert [entry["look"] for entry in judged] == list(range(1, len(attempts) + 1))
    assert [entry["level"] for entry in judged] == [take(entry["look"]).level for entry in judged]
    assert {entry["champion"] for entry in judged} == {None}


def test_the_evidence_carries_its_look_and_the_gate_says_so(twice: Path) -> None:
    desk = deciding.open_desk(twice, "anna")
    version = desk.registry.get(2)
    assert version is not None
    decision = json.loads(desk.storage.read(decision_path(version.bundle)))
    value = decision["evidence"]["policy_value"]
    assert (value["looks"], value["level"]) == (2, take(2).level)
    findings = [f for gate in decision["decisions"] for f in gate["findings"]]
    said = [f for f in findings if f["metric"] == "level of the intervals"]
    assert all(f["status"] == "pass" and "look 2" in f["sentence"] for f in said)
