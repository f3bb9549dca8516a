"""The count of looks, from a real ledger on local storage."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from good_evidence import evidence

from components.adapters.ledger import Ledger
from components.adapters.storage import LocalStorage
from components.errors import Failed
from components.evaluate_candidate.looks import attempts_since, take_look
from model.evaluation.spending import take
from validation.gate.limits import PolicyValueLimits
from validation.gate.policy_value import decide

LEVEL = 0.95


def noon() -> datetime:
    return datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(LocalStorage(str(tmp_path)), "shop")


def look(ledger: Ledger, attempt: str, champion: int | None = None):
    return take_look(ledger, attempt, champion, "2026-11-23", LEVEL, noon)


def test_the_first_look_is_number_one_and_the_ledger_says_who_took_it(ledger):
    assert look(ledger, "a") == take(1, LEVEL)
    (entry,) = ledger.entries()
    assert (entry["kind"], entry["attempt"], entry["champion"]) == ("looked", "a", None)


def test_new_inputs_are_a_new_look_and_the_same_evidence_again_is_not(ledger):
    numbers = [look(ledger, attempt).number for attempt in ("a", "b", "a", "c", "b")]
    assert numbers == [1, 2, 1, 3, 2]
    assert len(ledger.entries()) == 3


def test_the_count_starts_again_when_the_champion_changes(ledger):
    assert [look(ledger, a).number for a in ("a", "b")] == [1, 2]
    ledger.append("promoted", noon(), version=7, before=None)
    assert [look(ledger, a, champion=7).number for a in ("c", "d")] == [1, 2]
    ledger.append("promoted", noon(), version=8, before=7)
    assert look(ledger, "e", champion=8).number == 1
    ledger.append("rolled back", noon(), version=7, before=8)
    assert look(ledger, "f", champion=7).number == 1


def test_crowning_the_champion_again_does_not_start_the_count_again(ledger):
    ledger.append("promoted", noon(), version=7, before=None)
    look(ledger, "a", champion=7)
    ledger.append("promoted", noon(), version=7, before=7)
    assert look(ledger, "b", champion=7).number == 2


def test_a_promotion_that_never_moved_the_alias_does_not_start_the_count_again(ledger):
    look(ledger, "a")
    ledger.append("promoted", noon(), version=7, before=None)
    assert look(ledger, "b", champion=None).number == 2


def test_other_decisions_and_judgements_are_no_looks(ledger):
    look(ledger, "a")
    for kind in ("judged", "approved", "rejected", "refused"):
        ledger.append(kind, noon(), version=3)
    assert look(ledger, "b").number == 2


def test_a_look_whose_judgement_was_lost_stays_spent(ledger):
    look(ledger, "died before it was judged")
    assert look(ledger, "next day").number == 2


class Rival(Ledger):
    """A ledger in which another run takes its look just before every write of this one."""

    def append(self, kind, at, **facts):
        super().append(kind, at, **(facts | {"attempt": "rival"}))
        return super().append(kind, at, **facts)


def test_two_runs_at_once_have_different_looks_and_the_ledger_shows_both(tmp_path):
    mine = look(Rival(LocalStorage(str(tmp_path)), "shop"), "mine")
    plain = Ledger(LocalStorage(str(tmp_path)), "shop")
    assert (mine.number, look(plain, "rival").number) == (2, 1)
    assert attempts_since(plain.entries(), None) == ["rival", "mine"]


def test_a_cut_ledger_gives_no_look(ledger, tmp_path):
    look(ledger, "a")
    look(ledger, "b")
    (tmp_path / "ledger" / "shop" / "00000001.json").unlink()
    with pytest.raises(Failed, match="cut or changed"):
        look(ledger, "c")


@pytest.mark.parametrize(
    ("number", "level", "status"),
    [
        (1, take(1).level, "pass"),
        (1, 0.95, "fail"),
        (5, take(5).level, "pass"),
        (5, take(4).level, "fail"),
        (0, 0.99, "fail"),
    ],
)
def test_the_gate_passes_the_level_of_the_look_and_nothing_wider(number, level, status):
    shown = evidence(policy_value__looks=number, policy_value__level=level)
    (found,) = [
        one
        for one in decide(shown, PolicyValueLimits()).findings
        if one.metric == "level of the intervals"
    ]
    assert found.status == status, found.sentence
