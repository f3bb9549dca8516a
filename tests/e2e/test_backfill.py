"""Several days at once: every day ends, none is lost, no version is made twice.

GENCO_BACKFILL is the number of days at once (default 2).
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from message_places import Webhook, webhook
from small_shop import DS, write_config, write_shop
from typer.testing import CliRunner

from components.errors import WrongUse
from pipelines import backfill, deciding, running
from pipelines.cli import app

AT_ONCE = int(os.environ.get("GENCO_BACKFILL", "2"))
FILLED = [f"2026-11-{22 - back:02d}" for back in reversed(range(max(AT_ONCE, 2)))]
FIRST = FILLED[0]
TODAY = "2026-11-24"
MARK = "GENCO_TEST_BACKFILL"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("backfill")
    write_shop(root, days=len(FILLED) + 1, impressions=450 * len(FILLED), products=4)
    return write_config(root, str(root / "store"))


def asked(config: Path, *more: str) -> tuple[int, dict]:
    given = ["backfill", "--config", str(config), "--from", FIRST, "--to", DS, "--json", *more]
    done = CliRunner().invoke(app, given)
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


def versions_of(config: Path) -> list[tuple[str, str]]:
    """(day, fingerprint) of every version."""
    found = deciding.open_desk(config, "anna").registry.versions()
    return [(v.tags["genco.ds"], v.tags["genco.fingerprint"]) for v in found]


def marked_processes(config: Path) -> list[str]:
    """Processes that were started, by whomever, with the mark of this config."""
    mark = f"{MARK}={config}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes():
                found.append(process.name)
    return found


@pytest.fixture(scope="module")
def told_of() -> Iterator[Webhook]:
    """Where every run of this module sends its message."""
    with webhook() as hook, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENCO_WEBHOOK_URL", hook.url)
        patch.setattr(backfill, "now", lambda: datetime.fromisoformat(f"{TODAY}T10:00:00+00:00"))
        yield hook


@pytest.fixture(scope="module")
def filled(shop: Path, told_of: Webhook) -> tuple[Path, int, dict]:
    """A backfill killed in the middle of its days, which end with it, and the one after it."""
    code = "import sys; from pathlib import Path; from pipelines.backfill import backfill; "
    code += "backfill(Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[5]), [], print, sys.argv[4])"
    command = [sys.executable, "-c", code, str(shop), FIRST, DS, TODAY, str(AT_ONCE)]
    marked = {**os.environ, MARK: str(shop)}
    silent = subprocess.DEVNULL
    killed = subprocess.Popen(command, stderr=silent, stdout=silent, env=marked)
    days = shop.parent / "store" / "days"
    for _ in range(600):
        if list(days.glob("ds=*/attempt=*/ingest_logs/*")):
            break
        time.sleep(0.1)
    assert len(marked_processes(shop)) > 1
    killed.kill()
    killed.wait()
    for _ in range(100):
        if not marked_processes(shop):
            break
        time.sleep(0.1)
    assert marked_processes(shop) == []
    return shop, *asked(shop, "--max-parallel", str(AT_ONCE))


def test_no_day_is_lost_and_no_version_is_made_twice(filled) -> None:
    config, code, told = filled
    assert [day["ds"] for day in told["days"]] == FILLED
    assert {day["state"] for day in told["days"]} <= {"HOLD", "PROMOTE", "REJECT"}, told
    assert code == told["exit_code"] == max(day["exit_code"] for day in told["days"])
    made = versions_of(config)
    assert sorted(ds for ds, _ in made) == FILLED
    assert len({fingerprint for _, fingerprint in made}) == len(FILLED)


def test_every_day_is_judged_once_in_the_ledger_and_its_policy_is_listed(filled) -> None:
    config, _, _ = filled
    desk = deciding.open_desk(config, "anna")
    judged = [entry["ds"] for entry in desk.entries() if entry["kind"] == "judged"]
    assert sorted(judged) == FILLED
    assert all(backfill.published(desk.storage, ds) for ds in FILLED)


def test_a_day_that_a_later_one_published_again_still_says_where_its_page_is(filled) -> None:
    config, _, _ = filled
    again = running.run(config, FIRST, None, "local")
    assert again.verdict == "UNCHANGED"
    assert Path(again.data_page).is_file()


def test_every_day_sent_one_message(filled, told_of: Webhook) -> None:
    _, _, told = filled
    sent = [message["metadata"]["event_payload"] for message in told_of.taken]
    wanted = {day["ds"]: (day["state"], day["version"]) for day in told["days"]}
    assert sorted(one["ds"] for one in sent) == FILLED, [m["text"] for m in told_of.taken]
    assert {one["ds"]: (one["status"], one["version"]) for one in sent} == wanted


def test_published_days_are_skipped_and_a_forced_one_is_recorded(filled, told_of: Webhook) -> None:
    config, _, first = filled
    made = versions_of(config)
    code, told = asked(config, "--force", DS)
    states = {day["ds"]: (day["state"], day["forced"]) for day in told["days"]}
    assert {states[ds] for ds in FILLED[:-1]} == {("SKIPPED", False)}
    assert states[DS] == (first["days"][-1]["state"], True)
    assert code == told["exit_code"]
    assert versions_of(config) == made
    entry = [e for e in deciding.open_desk(config, "anna").entries() if e["kind"] == "forced"][-1]
    assert entry["days"] == [DS]
    assert len(told_of.taken) == len(FILLED), "the same verdict for the same cause is no news"
    assert asked(config)[0] == 0


def test_a_day_without_logs_is_told_and_does_not_stop_the_others(filled) -> None:
    config, _, _ = filled
    ended = backfill.backfill(config, DS, "2026-11-23", 2, [], lambda line: None, today=TODAY)
    assert [one.state for one in ended] == ["SKIPPED", "BLOCKED"]
    assert "no impressions or aggregates for ds=2026-11-23" in ended[1].reason
    assert backfill.worst(ended) == 4


@pytest.mark.parametrize(
    ("first", "last", "force", "said"),
    [
        (DS, FIRST, [], "is after --to"),
        (FIRST, "2026-11-25", [], "in the future"),
        ("2026-11-31", DS, [], "no day of the calendar"),
        (FIRST, DS, ["2026-11-01"], "is not among"),
    ],
)
def test_days_that_make_no_sense_are_wrong_use(shop: Path, first, last, force, said) -> None:
    with pytest.raises(WrongUse, match=said):
        backfill.backfill(shop, first, last, 1, force, print, today=TODAY)


def test_the_worst_day_gives_the_exit_code() -> None:
    def ended(*states: str) -> list[backfill.Ended]:
        return [backfill.Ended(DS, state, None, "", 0.0) for state in states]

    assert backfill.worst(ended("PROMOTE", "SKIPPED", "UNCHANGED")) == 0
    assert backfill.worst(ended("PROMOTE", "HOLD")) == 3
    assert backfill.worst(ended("HOLD", "BLOCKED")) == 4
    assert backfill.worst(ended("BLOCKED", "FAILED", "HOLD")) == 1
