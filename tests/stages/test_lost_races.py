"""A day that another was first for: nobody is woken by it as long as it is run again."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from message_places import webhook
from small_shop import DS, write_config

from components.errors import Conflict
from pipelines import backfill, local, running
from pipelines.config import load_config


def lost(*_: object) -> None:
    raise Conflict("another run was first")


def test_a_lost_race_is_told_only_where_nobody_runs_the_day_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = running.make_plan(load_config(write_config(tmp_path, str(tmp_path / "store"))))
    monkeypatch.setattr(local, "_stages", lost)
    with webhook() as hook:
        monkeypatch.setenv("GENCO_WEBHOOK_URL", hook.url)
        for again, told in ((True, []), (False, ["FAILED"])):
            with pytest.raises(Conflict):
                local.run_day(plan, DS, None, lambda stage: None, again=again)
            sent = [message["metadata"]["event_payload"]["status"] for message in hook.taken]
            assert sent == told


def test_a_backfill_runs_a_lost_day_again_and_says_which_time_is_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    def told(order: object, ds: str, force: bool, again: bool) -> dict[str, object]:
        asked.append(again)
        return {"error": "another run was first", "kind": "CONFLICT", "exit_code": 1}

    monkeypatch.setattr(backfill, "_run", told)
    monkeypatch.setattr(backfill, "published", lambda storage, ds: None)
    said: list[str] = []
    order = SimpleNamespace(storage=None, forced=[], watch=said.append)
    ended = backfill._end(order, DS)  # type: ignore[arg-type]
    assert asked == [True] * backfill.RACES + [False]
    assert (ended.state, ended.reason) == (backfill.FAILED, "another run was first")
    assert sum("runs again" in line for line in said) == backfill.RACES
