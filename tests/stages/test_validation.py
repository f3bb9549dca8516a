"""The rules: Great Expectations and our masks count the same, and a verdict says why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from tiny_day import judge
from tiny_logs import DS, impression, write_catalog, write_good_day, write_lines

from components.validate_logs import stage as validate_logs
from validation.contract import (
    BAG_RULES,
    BrokenRuleError,
    Rule,
    bag_rules,
    check_rules,
    fingerprint,
)
from validation.expectations import BagSuite
from validation.quarantine import DayFacts, Limits, blocking_reasons, reasons_sql

FIT: dict[str, Any] = {
    "shown_at": pd.Timestamp("2026-03-10 10:00"),
    "in_day": True,
    "propensity": 0.25,
    "elements_shown": 2,
    "unknown_slots": None,
    "unknown_elements": None,
    "not_allowed": None,
    "impressions": 3,
    "clicks": 1,
    "conversions": 0,
    "user_impressions": 1,
    "value": 0.5,
    "missing_context": None,
    "test_traffic": None,
}
PLANTED: dict[str, list[dict[str, Any]]] = {
    "day": [{"in_day": False}],
    "propensity": [{"propensity": p} for p in (0.0, -0.1, 1.0000001, 1.5)],
    "shown": [{"elements_shown": 0}],
    "slot": [{"unknown_slots": "foo"}, {"unknown_slots": ""}],
    "element": [{"unknown_elements": "title=zz"}] * 3,
    "allowed": [{"not_allowed": "forbidden together"}],
    "clicks": [{"clicks": 4}, {"clicks": 9}],
    "negative_clicks": [{"clicks": -1}],
    "impressions": [{"impressions": -3, "clicks": -3}],
    "conversions": [{"conversions": -1}],
    "test": [{"test_traffic": "user_id=test-1"}],
    "traffic": [{"user_impressions": n} for n in (201, 5000)],
    "value": [{"value": -0.01}],
    "context": [{"missing_context": "hour"}],
}
STILL_FIT = [
    {"propensity": None},
    {"propensity": 1.0},
    {"clicks": 3},
    {"impressions": 0, "clicks": 0},
    {"user_impressions": None},
    {"user_impressions": 200},
    {"value": 0.0},
]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Rows that break each rule, rows at its edge, and twenty that break none."""
    bent = [change for changes in PLANTED.values() for change in changes]
    return pd.DataFrame([FIT | change for change in (*bent, *STILL_FIT, *[{}] * 20)])


@pytest.fixture(scope="module")
def suite() -> BagSuite:
    return BagSuite(BAG_RULES, {rule.id: 0.1 for rule in BAG_RULES})


def masked(rows: pd.DataFrame, rule: Rule) -> int:
    database = duckdb.connect()
    database.register("rows", rows)
    (count,) = database.execute(f"SELECT count(*) FROM rows WHERE {rule.violated()}").fetchone()
    return count


def test_great_expectations_counts_the_rows_that_our_masks_refuse(rows, suite) -> None:
    found = {check.rule: check.unexpected for check in suite.check([rows], "planted").checks}
    assert found == {rule.id: masked(rows, rule) for rule in BAG_RULES}
    for rule, planted in PLANTED.items():
        other = {"negative_clicks": 1}.get(rule, 0)  # impressions below 0 come with such clicks
        assert found[rule] == len(planted) + other, rule


def test_counts_of_batches_add_up_to_the_counts_of_the_whole(rows, suite) -> None:
    parts = suite.check([rows[:7], rows[7:20], rows[20:]], "run")
    whole = suite.check([rows], "run")
    assert parts.checks == whole.checks
    assert parts.to_json() == whole.to_json()


def test_a_fit_row_has_no_reason_and_an_unfit_one_has_each_of_its_own(rows) -> None:
    database = duckdb.connect()
    database.register("rows", rows)
    query = f"SELECT {reasons_sql(BAG_RULES)} AS reasons FROM rows"
    found = [[r["rule"] for r in row[0]] for row in database.execute(query).fetchall()]
    warned = {rule.id for rule in BAG_RULES if rule.severity == "warn"}
    expected = [rule for rule, changes in PLANTED.items() for _ in changes]
    for rule, reasons in zip(expected, found, strict=False):
        assert (rule in reasons) == (rule not in warned), rule
    assert all(reasons == [] for reasons in found[len(expected) :])


def test_a_reason_shows_what_was_found(rows) -> None:
    database = duckdb.connect()
    database.register("rows", rows)
    query = f"SELECT unnest({reasons_sql(BAG_RULES)}, recursive := true) FROM rows"
    said = [message for _, message in database.execute(query).fetchall()]
    assert "shown_at lies inside the partition's day; found 2026-03-10 10:00:00" in said
    assert "clicks <= impressions; found 4 and 3" in said
    assert "a user is shown at most 200 displays a day (bots); found 201" in " | ".join(
        message.replace("201.0", "201") for message in said
    )


def test_the_traffic_rule_says_the_configured_number() -> None:
    (rule,) = [rule for rule in bag_rules(35) if rule.id == "traffic"]
    assert "at most 35 displays" in rule.says
    assert rule.upper == 35
    assert fingerprint(bag_rules(35)) != fingerprint(bag_rules(36))


@pytest.mark.parametrize("place", ["column", "other", "shows"])
def test_a_rule_that_names_an_unknown_column_is_a_broken_rule(place: str) -> None:
    broken = replace(BAG_RULES[0], **{place: "colour"})
    with pytest.raises(BrokenRuleError, match=r"rule 'day' reads column 'colour'.*not at fault"):
        check_rules((broken,), set(FIT))


def test_a_broken_rule_stops_the_run_and_blames_no_row(tmp_path: Path, monkeypatch) -> None:
    write_catalog(tmp_path)
    write_good_day(tmp_path, rows=4)
    broken = replace(BAG_RULES[-1], column="colour", severity="warn")
    monkeypatch.setattr(validate_logs, "bag_rules", lambda _: (*BAG_RULES[:-1], broken))
    with pytest.raises(BrokenRuleError):
        judge(tmp_path)
    assert not (tmp_path / "store/manifests").exists()


# ---- the verdict


def facts(**changes: Any) -> DayFacts:
    whole = {
        "ds": DS,
        "read": 300,
        "duplicate": 200,
        "fit": 90,
        "refused_rows": 10,
        "refused": {"propensity": 9, "json": 2},
        "set_aside": {},
        "unreadable": (),
        "examples": {
            "json": {"file": "a", "row": 1, "message": "no JSON"},
            "propensity": {"file": "b", "row": 7, "message": "found 1.5"},
        },
    }
    return DayFacts(**(whole | changes))


def test_the_share_is_of_distinct_rows_and_may_reach_the_limit() -> None:
    assert blocking_reasons(facts(), Limits(quarantined_share=0.1)) == []
    (reason,) = blocking_reasons(facts(), Limits(quarantined_share=0.0999))
    assert "10 of 100 distinct rows" in reason
    assert "(10.0%, limit 10.0%)" in reason


def test_the_example_is_of_the_rule_that_is_called_worst() -> None:
    (reason,) = blocking_reasons(facts(), Limits(quarantined_share=0.01))
    assert "'propensity' (9 rows); first: b row 7: found 1.5" in reason


def test_a_day_without_a_fit_bag_is_blocked_whatever_the_limit() -> None:
    nothing = facts(read=0, duplicate=0, fit=0, refused_rows=0, refused={})
    (reason,) = blocking_reasons(nothing, Limits(quarantined_share=1))
    assert f"ds={DS} has 0 fit bags of 0 rows read" in reason


@pytest.fixture(scope="module")
def bots(tmp_path_factory: pytest.TempPathFactory):
    """Sixty displays, forty of a bot, and two bad rows; the bot's displays were sent twice."""
    root = tmp_path_factory.mktemp("bots")
    write_catalog(root)
    write_good_day(root)
    bot = [impression(n, impression_id=f"bot{n}", user_id="bot") for n in range(40)]
    person = [impression(n, impression_id=f"fan{n}", user_id="fan") for n in range(20)]
    write_lines(root, "impressions", DS, [*bot, *person, *person], "bots")
    bad = [impression(n, impression_id=f"bad{n}", propensity=1.5) for n in range(2)]
    write_lines(root, "impressions", DS, bad, "bad")
    return judge(root, user_limit=20)


def test_bots_are_set_aside_without_counting_against_the_limit(bots) -> None:
    assert bots.result.fit
    assert bots.manifest["refused"] == 2
    refused = list(bots.rules("bots.jsonl").values())
    assert refused == [["traffic"]] * 40


def test_a_row_sent_twice_is_no_second_display_of_its_user(bots) -> None:
    assert bots.account("bots.jsonl") == (80, 20, 20, 40)


def test_the_rows_of_a_reason_are_found_through_the_manifest(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    write_good_day(tmp_path, rows=10)
    sent = [impression(n, impression_id=f"bad{n}", propensity=1.5) for n in range(3)]
    write_lines(tmp_path, "impressions", DS, sent, "bad")
    day = judge(tmp_path)
    (reason,) = day.result.reasons
    assert not day.result.fit
    assert "'propensity' (3 rows)" in reason
    found = day.rows("quarantine")
    assert len(found) == 3
    assert all('"propensity": 1.5' in row["raw"] for row in found)
    assert {row["rule_set"] for row in found} == {fingerprint(bag_rules(20))}
    assert (
        f"{found[0]['source_file']} row {found[0]['row']}: {found[0]['reasons'][0]['message']}"
        in reason
    )
