"""Rows released from the quarantine are delivered once more, counted once, and recorded."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_day import TinyDay, judge, unbalanced
from tiny_logs import (
    CONTEXT,
    DS,
    SLOTS,
    click,
    impression,
    write_catalog,
    write_good_day,
    write_lines,
)

from components.adapters.ledger import Ledger
from components.adapters.storage import open_storage
from components.errors import WrongUse
from pipelines import quality, releasing


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_catalog(tmp_path)
    write_good_day(tmp_path, rows=60)
    bad = [impression(n, impression_id=f"bad{n}", propensity=1.5) for n in range(5)]
    write_lines(tmp_path, "impressions", DS, [*bad, "no json"], "bad")
    write_lines(tmp_path, "clicks", DS, [click(1, impression_id="bad1")], "of-bad")
    tree = {"name": "tiny", "slots": list(SLOTS), "context": CONTEXT, "window_days": 7}
    tree |= {place: str(tmp_path / place) for place in ("logs", "catalog", "store")}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


def release(root: Path, **changes: Any) -> dict[str, Any]:
    wanted = {"ds": DS, "rule": "propensity", "file": None, "reason": "the logger's fault"}
    wanted |= {"fixed": None, "waive": False}
    return releasing.release(root / "tiny.yaml", releasing.Wanted(**(wanted | changes)), "ann")


def repaired(root: Path, rule: str = "propensity") -> Path:
    """The rows as `dq show --out` writes them, repaired."""
    out = root / "bad.jsonl"
    quality.show(root / "tiny.yaml", DS, rule, 1, None, out)
    rows = [json.loads(line) | {"propensity": 0.5} for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out


def bags(day: TinyDay) -> set[str]:
    return {row["bag_id"] for row in day.rows("bags")}


def test_repaired_rows_make_the_blocked_day_again_and_every_row_is_counted_once(source) -> None:
    blocked = judge(source)
    assert not blocked.result.fit
    told = release(source, fixed=repaired(source))
    assert told["rows"] == 5
    day = judge(source)
    assert day.result.fit
    assert bags(day) == bags(blocked) | {f"bad{n}" for n in range(5)}
    assert unbalanced(day.manifest) == []
    assert day.account("/bad.jsonl") == (6, 0, 5, 1)
    assert day.account("release-") == (5, 5, 0, 0)
    assert day.bag("bad1")["clicks"] == 1


def test_releasing_twice_releases_nothing_more_and_says_so(source) -> None:
    judge(source)
    fixed = repaired(source)
    first = release(source, fixed=fixed)
    again = release(source, fixed=fixed)
    assert again["rows"] == 0
    assert "released by ann" in again["says"]
    made = judge(source).arrived.made[DS]
    after = release(source, fixed=fixed)
    assert (after["rows"], after["file"]) == (0, None)
    assert "nothing more is released" in releasing.words(after)
    assert judge(source).arrived.made[DS] == made
    assert len(list((source / "logs").rglob("release-*"))) == 1
    assert first["rows"] == 5


def test_raw_files_stay_as_they_were(source) -> None:
    before = {file: file.read_bytes() for file in (source / "logs").rglob("*") if file.is_file()}
    judge(source)
    release(source, fixed=repaired(source))
    assert {file: file.read_bytes() for file in before} == before


def test_rows_that_could_not_be_read_are_released_too(source) -> None:
    judge(source)
    out = source / "line.jsonl"
    out.write_text(json.dumps(impression(9, impression_id="was-no-json")) + "\n")
    assert release(source, rule="json", fixed=out)["rows"] == 1
    day = judge(source, quarantined_share=1)
    assert "was-no-json" in bags(day)
    assert day.account("/bad.jsonl") == (6, 0, 1, 5)
    assert unbalanced(day.manifest) == []


def test_a_row_that_is_still_unfit_is_quarantined_again_in_its_new_file(source) -> None:
    judge(source)
    out = source / "bad.jsonl"
    quality.show(source / "tiny.yaml", DS, "propensity", 1, None, out)
    release(source, fixed=out)
    day = judge(source, quarantined_share=1)
    assert day.account("release-") == (5, 0, 0, 5)
    assert day.account("/bad.jsonl") == (6, 0, 5, 1)


def test_a_waived_rule_does_not_bind_the_released_rows_and_binds_all_others(source) -> None:
    bot = [impression(n, impression_id=f"bot{n}", user_id="bot") for n in range(30)]
    write_lines(source, "impressions", DS, bot[:29], "bot")
    write_lines(source, "impressions", DS, bot[29:], "bot-too")
    judge(source)
    file = f"impressions/dt={DS}/bot.jsonl.gz"
    assert release(source, rule="traffic", file=file, waive=True)["rows"] == 29
    day = judge(source)
    assert bags(day) >= {f"bot{n}" for n in range(29)}
    assert day.account("bot-too") == (1, 0, 0, 1)
    assert unbalanced(day.manifest) == []


def test_a_released_file_that_was_changed_stands_for_no_row(source) -> None:
    judge(source)
    told = release(source, fixed=repaired(source))
    place = source / "logs" / told["file"]
    place.write_text(json.dumps(impression(3, impression_id="other")) + "\n")
    day = judge(source, quarantined_share=1)
    assert day.account("/bad.jsonl") == (6, 0, 0, 6)


def test_a_release_is_recorded_with_who_why_and_what(source) -> None:
    judge(source)
    told = release(source, fixed=repaired(source))
    storage = open_storage(str(source / "store"))
    (entry,) = [e for e in Ledger(storage, "tiny").entries() if e["kind"] == "released"]
    assert (entry["by"], entry["reason"], entry["rows"]) == ("ann", "the logger's fault", 5)
    assert entry["sha256"] == told["sha256"]
    (listed,) = quality.listing(source / "tiny.yaml", DS)["days"]
    assert [one["rows"] for one in listed["releases"]] == [5]
    assert "released by ann" in quality.words({"days": [listed]})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fixed": None}, "either --fixed"),
        ({"reason": " ", "waive": True}, "written --reason"),
        ({"waive": True}, "traffic, test, allowed"),
        ({"rule": None, "fixed": "lines"}, "one kind at a time|expected 7"),
        ({"fixed": "lines"}, "expected 5"),
        ({"file": "impressions/nowhere", "fixed": "lines"}, "no file of ds"),
    ],
)
def test_a_release_that_makes_no_sense_changes_nothing(source, changes, says) -> None:
    judge(source)
    (source / "lines").write_text("{}\n")
    if changes.get("fixed"):
        changes = changes | {"fixed": source / changes["fixed"]}
    with pytest.raises(WrongUse, match=says):
        release(source, **changes)
    assert not list((source / "store").glob("releases/*"))
    assert not list((source / "logs").rglob("release-*"))


def test_ls_lists_days_with_rows_set_aside_by_reason_and_file(source) -> None:
    judge(source)
    (day,) = quality.listing(source / "tiny.yaml", None)["days"]
    assert (day["ds"], day["rows"]) == (DS, 7)
    assert day["reasons"] == {"propensity": 5, "json": 1, "unusable": 1}
    assert day["files"][f"impressions/dt={DS}/bad.jsonl.gz"] == 6
    assert day["clicks_lost"] == pytest.approx(1 / 10)
