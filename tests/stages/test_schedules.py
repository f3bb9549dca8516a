"""`genco schedule plan|apply` against the stand-in: the server becomes equal to the file."""

from collections import Counter
from pathlib import Path

import pytest
from cluster_place import DAILY, LATE, write_config, write_schedules
from kfp_api import Fault, Kfp, kfp_server

from components.errors import Failed, WrongUse
from pipelines import doctor, scheduling
from pipelines.config import load_config


@pytest.fixture
def server():
    with kfp_server() as state:
        yield state


@pytest.fixture
def file(server: Kfp, tmp_path: Path) -> Path:
    write_config(tmp_path, server)
    return write_schedules(tmp_path, DAILY, LATE)


def apply(file: Path) -> Counter:
    return Counter(change.doing for change in scheduling.apply(file, lambda line: None))


def crons(server: Kfp) -> list[str]:
    return sorted(one.trigger.cron_schedule.cron for one in server.enabled())


BOTH = sorted([DAILY["cron"], LATE["cron"]])


def test_apply_makes_what_is_declared_once_without_catching_up(server: Kfp, file: Path) -> None:
    assert Counter(c.doing for c in scheduling.plan(file)) == {"create": 2}
    assert server.changes() == []
    assert apply(file) == {"create": 2}
    assert crons(server) == BOTH
    assert {(int(one.max_concurrency), one.no_catchup) for one in server.enabled()} == {(1, True)}
    days = {one.runtime_config.parameters["ds"] for one in server.enabled()}
    assert days == {"[[ScheduledTime.2006-01-02]] minus 1", "[[ScheduledTime.2006-01-02]]"}
    before = server.changes()
    assert apply(file) == {"keep": 2}
    assert server.changes() == before


def test_only_what_changed_is_replaced_and_an_orphan_of_ours_disabled(
    server: Kfp, file: Path
) -> None:
    apply(file)
    (late,) = [one for one in server.enabled() if " late " in one.display_name]
    write_schedules(file.parent, {**DAILY, "cron": "0 0 5 * * *"}, LATE)
    assert apply(file) == {"replace": 1, "keep": 1}
    assert late.recurring_run_id in server.recurring
    assert crons(server) == sorted(["0 0 5 * * *", LATE["cron"]])
    write_schedules(file.parent, LATE)
    assert apply(file) == {"keep": 1, "disable": 1}
    assert crons(server) == [LATE["cron"]]
    assert apply(file) == {"keep": 1}


def test_what_carries_no_mark_of_this_model_is_never_touched(server: Kfp, file: Path) -> None:
    apply(file)
    stranger, other = server.enabled()
    stranger.description, stranger.display_name = "made in the UI", "somebody's"
    other.description = other.description.replace('"model": "small"', '"model": "shoes"')
    before = {stranger.recurring_run_id, other.recurring_run_id}
    write_schedules(file.parent, DAILY)
    assert apply(file) == {"create": 1}
    assert before < set(server.recurring)
    assert len(server.enabled()) == 3


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda one: setattr(one, "mode", "DISABLE"), "disabled by hand"),
        (lambda one: setattr(one.trigger.cron_schedule, "cron", "0 0 0 * * *"), "cron is '0 0 0"),
        (lambda one: setattr(one, "max_concurrency", "5"), "max_concurrency is 5, declared 1"),
        (lambda one: setattr(one, "no_catchup", False), "no_catchup is False"),
        (lambda one: one.runtime_config.parameters.update(ds="2026-01-01"), "edited by hand"),
    ],
)
def test_what_was_edited_by_hand_is_put_back(server: Kfp, file: Path, edit, why: str) -> None:
    apply(file)
    edit(next(one for one in server.enabled() if " daily " in one.display_name))
    (change,) = [one for one in scheduling.plan(file) if one.doing != "keep"]
    assert change.doing == "replace"
    assert why in change.why
    assert apply(file) == {"replace": 1, "keep": 1}
    assert crons(server) == BOTH


def test_a_copy_made_in_the_ui_is_removed(server: Kfp, file: Path) -> None:
    apply(file)
    first = server.enabled()[0]
    copy = type(first)(**{**first.to_dict(), "recurring_run_id": "s-copy"})
    copy.trigger, copy.runtime_config = first.trigger, first.runtime_config
    copy.pipeline_version_reference = first.pipeline_version_reference
    server.recurring["s-copy"] = copy
    assert apply(file) == {"keep": 2, "remove": 1}
    assert crons(server) == BOTH


CHANGING = [
    ("POST", "/pipelines/upload$"),
    ("POST", "/pipelines/upload_version$"),
    ("POST", "/experiments$"),
    ("POST", "/recurringruns$"),
    ("POST", ":disable$"),
    ("DELETE", "/recurringruns/"),
]


@pytest.mark.parametrize("applied", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_after_a_500_in_the_middle_the_next_apply_completes_and_nothing_is_double(
    server: Kfp, file: Path, method: str, path: str, after: int, applied: bool
) -> None:
    """Whether the request that answered 500 took effect or not."""

    told: list[str] = []

    def struck() -> None:
        server.faults = [Fault(method, path, 500, after=after, applied=applied)]
        try:
            apply(file)
        except Failed as error:
            told.append(str(error))
        server.faults = []
        names = Counter(one.display_name.split()[1] for one in server.enabled())
        assert set(names.values()) <= {1}

    struck()
    apply(file)
    assert crons(server) == BOTH
    write_schedules(file.parent, {**DAILY, "cron": "0 0 5 * * *"}, {**LATE, "day": "yesterday"})
    struck()
    apply(file)
    assert crons(server) == sorted(["0 0 5 * * *", LATE["cron"]])
    assert apply(file) == {"keep": 2}
    assert all("answered 500" in sentence for sentence in told)
    assert told or after


def test_where_the_new_one_cannot_be_made_the_old_one_goes_on(server: Kfp, file: Path) -> None:
    apply(file)
    write_schedules(file.parent, {**DAILY, "cron": "0 0 5 * * *"}, LATE)
    server.faults = [Fault("POST", "/recurringruns$", 500)]
    with pytest.raises(Failed):
        apply(file)
    assert crons(server) == BOTH


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("30 3 * * *", "has 5 fields, expected six .* did you mean '0 30 3"),
        ("99 * * * *", r"has 5 fields, expected six .*'0 30 3 \* \* \*'$"),
        ("0 61 3 * * *", "'61' as minute"),
        ("0 0 3 30 2 *", "never fires"),
        ("* 0 3 * * *", "more than once a minute"),
        ("0 0 3 * FOO *", "'FOO' as month"),
        ("0 0 9-3 * * *", "'9-3' as hour"),
        ("0 0 */0 * * *", "as hour"),
        ("every day", "has 2 fields"),
        ("", "has 0 fields"),
    ],
)
def test_a_cron_that_makes_no_sense_is_refused_before_the_server_is_asked(
    server: Kfp, file: Path, cron: str, said: str
) -> None:
    write_schedules(file.parent, {**DAILY, "cron": cron})
    with pytest.raises(WrongUse, match=said):
        apply(file)
    assert server.asked == []


@pytest.mark.parametrize("cron", ["0 30 3 * * *", "0 0 3 29 2 ?", "0 0/15 8-10 * JAN-MAR MON,FRI"])
def test_a_cron_that_makes_sense_is_taken(server: Kfp, file: Path, cron: str) -> None:
    write_schedules(file.parent, {**DAILY, "cron": cron})
    assert apply(file) == {"create": 1}


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path, None)
    with pytest.raises(WrongUse, match="repeat a name"):
        scheduling.apply(write_schedules(tmp_path, DAILY, DAILY), print)
    with pytest.raises(WrongUse, match="not valid"):
        scheduling.apply(write_schedules(tmp_path, {**DAILY, "crom": "x"}), print)
    with pytest.raises(WrongUse, match="cannot be read"):
        scheduling.apply(tmp_path / "none.yaml", print)


def test_the_doctor_compares_the_recurring_runs_with_their_file(server: Kfp, file: Path) -> None:
    config = load_config(write_config(file.parent, server, "schedules: schedules.yaml"))
    apply(file)
    (fine,) = doctor._schedules(config, file.parent)
    assert fine.status == "well"
    server.enabled()[0].mode = "DISABLE"
    (wrong,) = doctor._schedules(config, file.parent)
    assert wrong.status == "wrong"
    assert "daily: it was disabled by hand" in wrong.sentence
    assert "genco schedule apply" in wrong.sentence
