"""What the data page says of more than its day: alerts since when, the calendar, usual volumes, missing days."""

import pytest
from day_view import (
    DS,
    blocked_day,
    calendar_day,
    fit_day,
)
from page_html import page

from validation.pages.alerts import alerts
from validation.pages.data import render_data
from validation.pages.day_rows import day_ranges, usual_volume


def test_alerts_name_what_is_wrong_and_link_the_runbook():
    shown = page(blocked_day())
    names = [alert.name for alert in alerts(blocked_day())]
    assert names == [
        "Day blocked", "Unreadable file", "Warned: context", "Duplicate files", "Missing days",
        "Blocked days in the window", "Unknown propensity",
    ]  # fmt: skip
    assert all(name in shown.said["alerts"] for name in names)
    links = [href for href in shown.values("href") if href.startswith("docs/runbook.md#")]
    assert len(links) == len(names)
    assert "Alerts (7)" in shown.said["verdict"]


def test_a_day_without_fault_has_no_alert():
    assert alerts(fit_day()) == []
    assert page(fit_day()).said["alerts"].endswith("Nothing.")


def test_repeated_rows_and_tolerated_faults_are_alerts_of_a_fit_day():
    view = fit_day(blamed=3, unfit=3)
    view["files"][0]["duplicate"] = 2
    assert [alert.name for alert in alerts(view)] == ["Rows set aside", "Duplicate rows"]


def test_runbook_can_lie_elsewhere():
    shown = page(blocked_day(runbook="https://wiki.example/runbook"))
    assert "https://wiki.example/runbook#missing-days" in shown.values("href")


def test_an_alert_says_since_when_it_stands_and_which_have_closed():
    name = "Unknown propensity"
    history = {"03": [name], "04": [], "05": [name, "Gone"], "08": [name], "09": [name]}
    days = [
        calendar_day(f"2026-03-{dt}", "FIT", 1, 0, alerts=names) for dt, names in history.items()
    ]
    shown = blocked_day(calendar=[*days, calendar_day(DS, "FIT", 1, 0)])
    said = page(shown).said["alerts"]
    assert f"{name} first seen 2026-03-05, last seen {DS}" in said
    assert "Day blocked first seen 2026-03-10" in said
    assert "Gone last seen 2026-03-05" in said


def test_calendar_says_every_day_in_words_and_signs_not_in_colour_alone():
    said = page(blocked_day()).said["calendar"]
    for day in blocked_day()["calendar"]:
        assert f"{day['ds']}: " in said
    assert "10 2026-03-10: blocked, 3,910 fit bags, 10 rows set aside, this page's day" in said
    assert "2026-03-10 ✕ blocked" in said
    assert "9 2026-03-09: fit, 3,909 fit bags" in said
    assert "4 2026-03-04: not run, 0 fit bags" in said


def test_the_days_of_the_calendar_lead_to_their_pages():
    days = [
        calendar_day("2026-03-09", "FIT", 1, 0, data="days/ds=2026-03-09/a/data.html"),
        calendar_day(DS, "FIT", 1, 0, data="days/x"),
    ]
    place = f"days/ds={DS}/attempt=1/validate_logs"
    links = page(fit_day(calendar=days, place=place)).values("href")
    assert "../../../../days/ds=2026-03-09/a/data.html" in links
    assert not [href for href in links if href.endswith("days/x")], (
        "the page does not lead to itself"
    )


def test_a_rule_shows_its_last_days_and_its_fingerprint():
    days = [
        calendar_day("2026-03-08", "FIT", 1, 0, failed={"propensity": 3}),
        calendar_day("2026-03-09", "FIT", 1, 0),
        calendar_day(DS, "FIT", 1, 0),
    ]
    text = render_data(blocked_day(calendar=days, prints={"propensity": "ab12"}))
    assert "Failed rows of the last 3 days: 3, not known, 380" in text
    assert '<span class="print">ab12</span>' in text


def test_usual_volume_is_that_of_fit_earlier_same_weekdays():
    assert usual_volume(blocked_day()) == (1, 3_903, 3_903)
    assert usual_volume(fit_day()) is None


def test_missing_days_are_named():
    said = page(blocked_day()).said["arrival"]
    assert "2026-03-04 to 2026-03-05, 2026-03-07" in said
    assert "Every day of the window has logs" in page(fit_day()).said["arrival"]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ([], ""),
        (["2026-03-01"], "2026-03-01"),
        (["2026-03-01", "2026-02-28"], "2026-02-28 to 2026-03-01"),
        (["2026-03-01", "2026-03-03"], "2026-03-01, 2026-03-03"),
    ],
)
def test_neighbouring_days_are_drawn_together(days, words):
    assert day_ranges(days) == words
