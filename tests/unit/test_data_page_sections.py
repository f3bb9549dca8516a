"""What each section of the data page says of a day: verdict, arrival, checks, quarantine, drift, labels, features."""

from typing import Any

from day_view import (
    DS,
    blocked_day,
    empty_day,
    fit_day,
)
from page_html import page

from validation.contract import BAG_RULES
from validation.pages.alerts import alerts
from validation.pages.data import render_data, verdict_sentence
from validation.pages.day_rows import reading_rules


def finding(check: str, subject: str, outcome: str, says: str) -> dict[str, Any]:
    told = {"check": check, "subject": subject, "value": 1.0, "limit": 1.0}
    return told | {"outcome": outcome, "says": says}


def drift(field: str, psi: float, js: float, distance: float) -> dict[str, Any]:
    told = {"field": field, "psi": psi, "psi_null": 0.02, "jensen_shannon": js}
    told |= {"jensen_shannon_null": 0.05, "distance": distance, "distance_null": 0.1}
    return told


BEYOND = {
    "findings": [
        finding("volume", "displays", "insufficient", "volume: 9 displays"),
        finding("drift", "device", "warn", "drift of device: PSI 0.31"),
        finding("drift", "hour", "pass", "drift of hour: PSI 0.01"),
        finding("mean weight", "log-1", "warn", "propensity of log-1: mean weight 1.9"),
    ],
    "drift": [drift("hour", 0.01, 0.1, 0.5), drift("device", 0.31, 0.2, float("nan"))],
}


def test_verdict_is_the_first_thing_said_and_says_what_downstream_did():
    blocked, fit = page(blocked_day()).said["verdict"], page(fit_day()).said["verdict"]
    assert "BLOCKED" in blocked[:80]
    assert "nothing was trained or published from it" in blocked
    assert "published before still stands" in blocked
    assert "FIT" in fit[:80]
    assert "3,987 bags are published" in fit
    assert "BLOCKED" not in fit


def test_a_blocked_day_names_the_fit_attempt_that_stands():
    assert "its fit attempt 77aa published before still" in verdict_sentence(
        blocked_day(stands="77aa")
    )
    assert "77aa; the rows of this one" in page(blocked_day(stands="77aa")).said["quarantine"]


def test_first_screen_tells_the_counts_the_reasons_and_the_commands():
    said = page(blocked_day()).said["verdict"]
    for shown in ("5,000", "3,987 bags", "400 rows", "390 rows", "8.67 %", "limit 5 %", "500 rows"):
        assert shown in said
    assert "390 of 5,000 rows are unfit" in said
    assert f"genco dq show --ds {DS} --config FILE --rule propensity" in said
    assert f"genco run --ds {DS} --config FILE" in said
    assert said.index("propensity : 380") < said.index("json : 10") < said.index("traffic : 10")


def test_rules_that_count_against_the_day_come_before_those_without_blame():
    view = blocked_day()
    view["quarantine"][2]["rows"] = 4_000
    said = page(view).said["verdict"]
    assert said.index("propensity : 380") < said.index("traffic : 4,000")


def test_many_reasons_are_all_on_the_page():
    reasons = [f"reason number {k} of many" for k in range(30)]
    said = page(blocked_day(reasons=reasons)).said["verdict"]
    assert all(reason in said for reason in reasons)


def test_every_file_is_listed_with_its_numbers_and_what_is_wrong_with_it():
    view = blocked_day()
    said = page(view).said["arrival"]
    for file in view["files"]:
        assert file["file"] in said
    assert "Copy of impressions/dt=2026-03-10/part-0.parquet" in said
    assert "Unreadable: part-9.parquet is cut off" in said
    assert "Empty" in said
    assert "part-1.parquet Copy" in said
    assert "impressions 3 5,000 4,100 500 400" in said


def test_files_beyond_the_first_dozen_are_still_on_the_page():
    zeros = {"read": 1, "kept": 1, "duplicate": 0, "quarantined": 0}
    files = [{"file": f"clicks/dt={DS}/part-{k}", **zeros} for k in range(40)]
    said = page(blocked_day(files=files)).said["arrival"]
    assert all(f"part-{k} 1 1 0 0" in said for k in range(40))


def test_every_rule_is_listed_those_that_no_row_failed_too():
    said = page(fit_day()).said["checks"]
    for rule in (*BAG_RULES, *reading_rules()):
        assert f"{rule if isinstance(rule, str) else rule.id} ✓ none failed 0" in said
    assert fit_day()["rule_set"] in said


def test_a_check_says_what_becomes_of_the_rows_that_fail_it():
    said = page(blocked_day()).said["checks"]
    assert "propensity ✕ over the limit 380 counts against the day" in said
    assert "traffic ! set aside 7 set aside without blame" in said
    assert "context ! warned 7 kept, warned of" in said
    assert "json ! set aside 10" in said


def test_quarantine_says_counts_place_and_the_first_rows_as_they_came():
    view = blocked_day()
    text, said = render_data(view), page(view).said["quarantine"]
    assert view["quarantine_path"] in said
    assert "propensity : 380 rows, 7.6 % of those read" in said
    assert "4 more of the first rows" in said
    assert "<mark>&#34;propensity&#34;: 1.5</mark>" in text
    assert "40 30 75 %" in said


def test_without_earlier_days_drift_is_one_plain_sentence_and_features_too():
    shown = page(fit_day()).said
    assert "No earlier fit day" in shown["drift"]
    assert "once the run has judged them" in shown["features"]
    assert shown["drift"].count(".") == shown["features"].count(".") == 1


def test_findings_stand_in_their_sections_and_a_warning_leaves_the_verdict():
    shown = page(fit_day(**BEYOND))
    assert "volume: 9 displays" in shown.said["arrival"]
    assert "mean weight 1.9" in shown.said["labels"]
    assert "device ! unusual 0.310 0.020 0.200 –" in shown.said["drift"]
    assert "hour ✓ as usual 0.010 0.020 0.100 0.5" in shown.said["drift"]
    assert "FIT" in shown.said["verdict"][:80]
    assert [alert.name for alert in alerts(fit_day(**BEYOND))] == [
        "Unusual: drift of device",
        "Unusual: mean weight of log-1",
    ]


def test_labels_show_maturity_lag_policies_and_propensity():
    said = page(blocked_day()).said["labels"]
    for shown in ("96.2 %", "12.5 %", "0.0125 to 0.875", "median 0.25", "1.03 %", "41 bags"):
        assert shown in said
    assert "log-1 3,987 69 1.73 % 4 81.5" in said
    assert "clicks 15 min 30 min 45 min 1 h 75 %" in said
    assert "conversions 42 h 3.5 days 5.2 days 7 days 75 %" in said


def test_an_empty_day_says_so_instead_of_drawing_nothing():
    said = page(empty_day()).said
    assert "No file arrived" in said["arrival"]
    assert "No display of the day could be read" in said["arrival"]
    assert "no rule of a bag was checked" in said["checks"]
    assert "No fit bag" in said["labels"]


def test_features_stand_on_the_page_once_they_are_known():
    facts = {"age_days": 1.0, "judged_null_rate": 0.25, "learned_null_rate": 0.125, "checked": 90}
    facts |= {"early": 0, "parity_sampled": 50, "parity_equal": 49, "fingerprint": "fp"}
    facts |= {"learned_rows": 1_000, "judged_rows": 234, "elements": 56}
    assert "once the run has judged them" in page(fit_day()).said["features"]
    said = page(fit_day(features=facts)).said["features"]
    assert "49 of 50" in said
    assert "1,000 learned 234 held out, 56 elements" in said
    assert "12.5 %" in said


def test_warnings_stand_beside_the_verdict_and_block_nothing():
    said = page(fit_day(warnings=[f"warning {n}" for n in range(5)])).said["verdict"]
    assert "5 warnings, which block nothing" in said
    assert "warning 2" in said
    assert "2 more" in said
