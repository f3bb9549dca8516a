"""Rules as a config holds them: severities, shares, test traffic; what is not known is refused."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_day import judge
from tiny_logs import DS, impression, write_catalog, write_good_day, write_lines

from components.errors import WrongUse
from pipelines.config import load_config
from validation.contract import BAG_RULES
from validation.expectations import BagSuite
from validation.pages.data_docs import offline
from validation.rulings import Ruling

CONFIG = """\
name: shop
logs: logs
catalog: catalog
store: store
slots: [title, image]
context: {device: categorical, hour: number}
quality: {%s}
"""


def config_of(tmp_path: Path, quality: str) -> Any:
    file = tmp_path / "shop.yaml"
    file.write_text(CONFIG % quality)
    return load_config(file)


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        ("rules: {colour: {severity: warn}}", "'colour' is no rule; the rules are day, prop"),
        ("rules: {clicks: {severity: warn}}", "clicks.severity is warn, but a row that breaks"),
        ("rules: {json: {severity: warn}}", "json.severity is warn"),
        ("rules: {value: {share: 1.5}}", "value.share is 1.5; expected 0 to 1"),
        ("rules: {value: {limit: 1}}", "quality.rules.value.limit: unknown key"),
        ("rules: {value: {severity: fatal}}", "severity"),
        ("test_traffic: {colour: [a]}", "quality.test_traffic: 'colour' is no column; expected"),
        ("test_traffic: {context.hour: [a]}", "'context.hour' is no column"),
        ('test_traffic: {user_id: [""]}', "user_id holds an empty pattern"),
    ],
)
def test_what_no_rule_can_be_held_to_is_wrong_use(tmp_path: Path, quality: str, says: str) -> None:
    with pytest.raises(WrongUse, match="is not valid") as refused:
        config_of(tmp_path, quality)
    assert says in str(refused.value)


def test_a_config_holds_a_rule_more_or_less_strictly(tmp_path: Path) -> None:
    told = "rules: {value: {severity: error}, traffic: {severity: warn, share: 0.1}}"
    rules = config_of(tmp_path, told).quality.rules
    assert rules == {"value": Ruling("error"), "traffic": Ruling("warn", 0.1)}


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Sixty good displays and forty of testers."""
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    tests = [impression(n, impression_id=f"t{n}", user_id=f"qa_{n}") for n in range(40)]
    write_lines(tmp_path, "impressions", DS, tests, "tests")
    return tmp_path


def judged(root: Path, rules: dict[str, Ruling] | None = None, **changes: Any) -> Any:
    return judge(root, rules=rules or {}, **changes)


def test_test_traffic_is_set_aside_without_blame_and_named(day: Path) -> None:
    patterns = {"user_id": ("qa_?", "qa_1*"), "context.device": ("none",)}
    found = judged(day, test_traffic=patterns)
    refused = found.rules("tests.jsonl")
    assert len(refused) == 20, "qa_0 to qa_9 and qa_10 to qa_19: _ and ? are not the same"
    assert set(map(tuple, refused.values())) == {("test",)}
    assert found.result.fit
    assert found.manifest["refused"] == 0
    assert found.manifest["failed"] == {"test": 20}
    reasons = found.rows("quarantine")[0]["reasons"]
    assert reasons[0]["message"].endswith("; found user_id=qa_0")


def test_a_context_field_can_mark_test_traffic(day: Path) -> None:
    found = judged(day, test_traffic={"context.device": ("pho*",)})
    assert found.manifest["failed"] == {"test": 50, "unusable": 4}  # clicks go with displays


def test_a_share_of_its_own_blocks_the_day(day: Path) -> None:
    patterns = {"user_id": ("qa_*",)}
    kept = judged(day, {"test": Ruling(share=0.5)}, test_traffic=patterns)
    assert kept.result.fit
    blocked = judged(day, {"test": Ruling(share=0.2)}, test_traffic=patterns)
    (reason,) = blocked.result.reasons
    assert "40 of 109 distinct rows" in reason
    assert "break rule 'test' (limit 20.0%)" in reason


def test_a_day_judged_by_other_limits_is_judged_again(day: Path) -> None:
    bad = [impression(n, impression_id=f"bad{n}", propensity=1.5) for n in range(20)]
    write_lines(day, "impressions", DS, bad, "bad")
    assert not judge(day, quarantined_share=0.05).result.fit
    again = judge(day, quarantined_share=0.5)
    assert again.result.fit
    assert again.manifest["verdict"] == "FIT"


def test_severity_decides_whether_a_row_is_kept_blamed_or_set_aside(day: Path) -> None:
    bots = [impression(n, impression_id=f"b{n}", user_id="bot") for n in range(30)]
    write_lines(day, "impressions", DS, bots, "bots")
    told = {}
    for severity in ("warn", "exclude", "error"):
        found = judged(day, {"traffic": Ruling(severity)})  # type: ignore[arg-type]
        told[severity] = (len(found.rules("bots")), found.manifest["refused"], found.result.fit)
        assert found.manifest["failed"] == {"traffic": 30}
        kept = [one for one in found.manifest["warnings"] if "'traffic'; they are kept" in one]
        assert len(kept) == (severity == "warn")
    assert told == {"warn": (0, 0, True), "exclude": (30, 0, True), "error": (30, 30, False)}


# ---- the columns of the logs


def test_changed_columns_are_named_against_the_day_before(tmp_path: Path) -> None:
    before = "2026-03-09"
    write_catalog(tmp_path, before)
    write_good_day(tmp_path, before)
    changed = [
        impression(n, user_id=..., campaign="c1", context={"device": 7, "hour": 10, "os": "x"})
        for n in range(60)
    ]
    write_lines(tmp_path, "impressions", DS, changed)
    found = judge(tmp_path, quarantined_share=1)
    says = [one["says"] for one in found.manifest["findings"] if one["check"] == "schema"]
    assert says == [
        f"schema: column campaign of impressions was added since {before} (text)",
        f"schema: column context.device of impressions was retyped: text on {before}, number now",
        f"schema: column context.os of impressions was added since {before} (text)",
        f"schema: column user_id of impressions was removed since {before} (text then)",
    ]
    assert set(says) <= set(found.manifest["warnings"])
    page = (tmp_path / "store" / found.result.data_page).read_text()
    assert all(one in page for one in says)


def test_a_few_bad_rows_are_no_change_of_a_column(tmp_path: Path) -> None:
    before = "2026-03-09"
    write_catalog(tmp_path, before)
    write_good_day(tmp_path, before)
    write_good_day(tmp_path)
    bent = [impression(n, impression_id=f"x{n}", propensity="0.25", odd=1) for n in range(2)]
    fine = [impression(n, impression_id=f"y{n}") for n in range(60)]
    write_lines(tmp_path, "impressions", DS, [*bent, *fine], "more")
    told = [one for one in judge(tmp_path).manifest["findings"] if one["check"] == "schema"]
    assert [one["outcome"] for one in told] == ["pass"]


# ---- Great Expectations, whatever the rows and the batches

NUMBERS = st.one_of(st.none(), st.floats(-2, 300, allow_nan=False), st.sampled_from([0.0, 1.0]))
COUNTS = st.integers(-2, 5)
TEXT = st.one_of(st.none(), st.sampled_from(["", "x"]))
ROWS = st.fixed_dictionaries(
    {
        "in_day": st.booleans(),
        "shown_at": st.just(pd.Timestamp("2026-03-10")),
        "propensity": NUMBERS,
        "elements_shown": COUNTS,
        "unknown_slots": TEXT,
        "unknown_elements": TEXT,
        "not_allowed": TEXT,
        "impressions": COUNTS,
        "clicks": COUNTS,
        "conversions": COUNTS,
        "test_traffic": TEXT,
        "user_impressions": st.one_of(st.none(), st.integers(0, 300)),
        "value": NUMBERS,
        "missing_context": TEXT,
    }
)
SUITE: list[BagSuite] = []


def suite() -> BagSuite:
    """One for all examples: building it takes longer than using it."""
    if not SUITE:
        SUITE.append(BagSuite(BAG_RULES, {rule.id: 0.1 for rule in BAG_RULES}))
    return SUITE[0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROWS, min_size=1, max_size=30), st.integers(0, 30))
def test_counts_of_great_expectations_are_those_of_the_masks_in_any_batches(rows, cut) -> None:
    frame = pd.DataFrame(rows)
    batches = [part for part in (frame[:cut], frame[cut:]) if len(part)]
    found = {one.rule: one.unexpected for one in suite().check(batches, "run").checks}
    with duckdb.connect() as database:
        database.register("rows", frame.astype({"propensity": float, "value": float}))
        masks = ", ".join(f"count(*) FILTER ({rule.violated()})" for rule in BAG_RULES)
        counted = database.execute(f"SELECT {masks} FROM rows").fetchone()
    assert found == dict(zip([rule.id for rule in BAG_RULES], counted, strict=True))


def test_a_result_and_its_page_are_kept_for_every_day_judged(tmp_path: Path) -> None:
    before = "2026-03-09"
    write_catalog(tmp_path, before)
    write_good_day(tmp_path, before)
    write_good_day(tmp_path)
    judge(tmp_path)
    for ds in (before, DS):
        manifest = json.loads((tmp_path / f"store/manifests/ds={ds}.json").read_text())
        page = tmp_path / "store" / manifest["pages"]["expectations"]
        result = json.loads(page.with_suffix(".json").read_text())
        assert result["meta"]["run_id"]["run_name"].startswith(f"ds={ds} ")
        assert {one["result"]["element_count"] for one in result["results"]} == {60}
        text = page.read_text()
        assert f"ds={ds} " in text
        assert "<script" not in text
        assert "https://" not in text


def test_the_page_of_great_expectations_loads_nothing_and_is_always_the_same() -> None:
    rows = pd.DataFrame(
        [{"in_day": False, "propensity": 2.0, "elements_shown": 0, "impressions": 1, "clicks": 0}]
    )
    rules = tuple(rule for rule in BAG_RULES if rule.id in ("day", "propensity", "shown"))
    strict = BagSuite(rules, {rule.id: 0.0 for rule in rules})
    pages = [offline(strict.check([rows], "run").to_page()) for _ in range(2)]
    assert pages[0] == pages[1]
    assert "must be greater than" in pages[0]
    for loaded in ("<script", "<link", "<img", "https://", "url("):
        assert loaded not in pages[0], loaded


def test_another_ruling_is_another_rule_set(day: Path) -> None:
    one = judged(day).manifest["rule_set"]
    other = judged(day, {"value": Ruling("error")}).manifest["rule_set"]
    assert one != other
