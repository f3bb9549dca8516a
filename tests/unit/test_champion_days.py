"""Which judged days a champion learned from itself, as its own bundle tells."""

import json
from pathlib import Path

import pytest

from components.evaluate_candidate.incumbent import Champion, _learned
from components.evaluate_candidate.stage import _incumbent

WINDOW = {"inputs": {"2026-11-20": "a", "2026-11-21": "b", "2026-11-22": "c"}}


class Numbered:
    number = 3


def bundle(folder: Path, **files) -> Path:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("told", "learned"),
    [
        ({"learned_days": ["2026-11-20"]}, ("2026-11-20",)),
        ({}, ("2026-11-20", "2026-11-21", "2026-11-22")),
    ],
)
def test_a_champion_learned_from_what_it_says_else_from_its_whole_window(tmp_path, told, learned):
    folder = bundle(tmp_path, manifest=WINDOW, evidence={"policy_value": told})
    assert _learned(folder) == learned


def test_a_bundle_without_a_word_on_days_learned_from_none(tmp_path):
    assert _learned(tmp_path) == ()


def test_only_judged_days_that_it_learned_from_are_warned_of():
    champion = Champion(Numbered(), None, learned=("2026-11-19", "2026-11-20"))
    told = _incumbent(champion, ["2026-11-20", "2026-11-21"])
    assert told["learned_judged"] == ["2026-11-20"]
    assert _incumbent(Champion(Numbered(), None), ["2026-11-20"])["learned_judged"] == []
