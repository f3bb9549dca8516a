"""A step of the graph: which failures are tried again, and what notify can read of the others."""

import json
from pathlib import Path

import pytest

from components.day import Day, Frozen
from components.errors import Conflict, Failed, GencoError, Refused, WrongUse
from components.notify.stage import outcome
from components.refusals import arrived, fit
from components.step import leave_word, patiently, read_word, step, word_path

PLAN = json.dumps({"ingest_logs": {}})


class Settings(Frozen):
    """Nothing to say."""


class Result(Frozen):
    """Nothing to find."""


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Day:
    monkeypatch.setenv("GENCO_RUN_ID", "run one")
    return Day(ds="2026-11-22", store=str(tmp_path / "store"), work=str(tmp_path / "work"))


class Faulty:
    """A stage that raises what it is given, one error a call, and then is done."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self, *anything: object) -> Result:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return Result()


def tried(work: Faulty, pauses: list[float]) -> tuple[object, list[float]]:
    slept: list[float] = []
    try:
        return patiently(work, pauses, slept.append), slept
    except Exception as error:
        return error, slept


@pytest.mark.parametrize("kind", [Failed, Conflict])
def test_what_another_try_can_help_is_tried_again_with_longer_pauses(kind: type) -> None:
    work = Faulty(kind("away"), kind("away"))
    assert tried(work, [30, 120, 600]) == (Result(), [30, 120])
    assert work.calls == 3


def test_what_stays_away_ends_with_its_last_sentence() -> None:
    work = Faulty(*[Failed(f"away {n}") for n in range(9)])
    error, slept = tried(work, [30, 120, 600])
    assert str(error) == "away 3"
    assert slept == [30, 120, 600]


@pytest.mark.parametrize("error", [Refused("unfit"), WrongUse("no day"), ValueError("a bug")])
def test_what_a_rule_refused_and_what_is_a_bug_end_at_once(error: Exception) -> None:
    work = Faulty(error)
    assert tried(work, [30, 120]) == (error, [])
    assert work.calls == 1


def test_nobody_waits_where_the_graph_sets_no_patience(day: Day) -> None:
    work = Faulty(Failed("away"))
    with pytest.raises(Failed):
        step("ingest_logs", day, PLAN, Settings, work)
    assert work.calls == 1


@pytest.mark.parametrize(
    ("error", "status", "cause"),
    [
        (Refused("no logs for the day"), "BLOCKED", "no logs for the day"),
        (Failed("cannot read s3://ads"), "FAILED", "ingest_logs: cannot read s3://ads"),
        (Conflict("theirs stands"), "FAILED", "ingest_logs: theirs stands"),
        (WrongUse("ds is 'x'"), "FAILED", "ingest_logs: ds is 'x'"),
        (ZeroDivisionError("a bug"), "FAILED", "ingest_logs: ZeroDivisionError: a bug"),
    ],
)
def test_the_message_of_a_failed_run_says_what_stopped_which_step(
    day: Day, error: Exception, status: str, cause: str
) -> None:
    with pytest.raises(type(error)):
        step("ingest_logs", day, PLAN, Settings, Faulty(error))
    assert outcome(day, "FAILED", "exit code 1")[:2] == (status, cause)


class Page:
    """An output artifact: a file."""

    def __init__(self, file: Path) -> None:
        self.path = str(file)


def test_what_ingest_refuses_fails_no_pod_and_is_told_as_blocked(day: Day, tmp_path: Path) -> None:
    page = Page(tmp_path / "page.html")
    place = arrived(day, PLAN, Settings, Faulty(Refused("no logs for the <day>")))
    assert place == day
    never = Faulty()
    assert fit("validate_logs", place, PLAN, Settings, never, page) is False
    assert never.calls == 0
    assert "no logs for the &lt;day&gt;" in Path(page.path).read_text()
    status, cause, following = outcome(day, "SUCCEEDED", "")
    assert (status, cause) == ("BLOCKED", "no logs for the <day>")
    assert "genco run" in following


@pytest.mark.parametrize("error", [Failed("away"), Conflict("theirs"), WrongUse("x"), ValueError()])
def test_what_is_no_refusal_fails_the_pod(day: Day, error: Exception) -> None:
    with pytest.raises(type(error)):
        arrived(day, PLAN, Settings, Faulty(error))


def test_a_later_refusal_is_forgotten_once_its_run_succeeds(day: Day) -> None:
    leave_word(day, "train_reward", Refused("no bags are left"))
    assert outcome(day, "FAILED", "")[0] == "BLOCKED"
    status, cause, _ = outcome(day, "SUCCEEDED", "")
    assert (status, cause) == ("FAILED", "No version was judged.")


def test_a_word_of_another_run_is_not_believed(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_word(day, "ingest_logs", Failed("yesterday's trouble"))
    monkeypatch.setenv("GENCO_RUN_ID", "run two")
    assert read_word(day) is None
    _, cause, _ = outcome(day, "FAILED", "OOMKilled (exit code 137)")
    assert "OOMKilled (exit code 137)" in cause
    assert "yesterday" not in cause


def test_a_store_that_is_away_hides_neither_the_error_nor_the_end(tmp_path: Path) -> None:
    away = Day(ds="2026-11-22", store="s3://ads/x", endpoint="http://127.0.0.1:9", work="w")
    with pytest.raises(Failed, match="no space"):
        step("ingest_logs", away, PLAN, Settings, Faulty(Failed("no space")))
    assert outcome(away, "FAILED", "")[0] == "FAILED"


def test_a_word_that_is_no_word_is_passed_over(day: Day) -> None:
    day.storage().write(word_path(day.ds), b"{")
    assert read_word(day) is None


def test_a_part_that_the_plan_lacks_is_told(day: Day) -> None:
    with pytest.raises((KeyError, GencoError)):
        step("validate_logs", day, PLAN, Settings, Faulty())
    assert "validate_logs" in outcome(day, "FAILED", "")[1]
