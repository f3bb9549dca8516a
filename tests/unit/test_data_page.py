"""The data page: nine sections in order, self-contained, escaped, its numbers those of the view."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from day_view import (
    DS,
    NASTY,
    RAW,
    blocked_day,
    calendar_day,
    empty_day,
    fit_day,
    lag,
    sample,
)
from tiny_logs import CONTEXT, SLOTS, click, impression, write_catalog, write_good_day, write_lines

from validation.contract import BAG_RULES
from validation.pages.alerts import alerts
from validation.pages.charts import (
    duration,
    hour_columns,
    lag_curve,
    lag_quantiles,
    outside_hours,
    spark,
)
from validation.pages.data import REQUIRED, render_data, verdict_sentence
from validation.pages.day_rows import day_ranges, reading_rules, usual_volume
from validation.pages.marking import FIELDS, mark_row, visible

SECTIONS = [
    "verdict", "arrival", "checks", "quarantine", "drift", "labels", "features", "alerts",
    "calendar",
]  # fmt: skip
VOID = {"meta", "br", "link", "img", "input", "hr", "line", "rect", "circle"}
DAYS = [blocked_day(), fit_day(), empty_day()]


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


class Page(HTMLParser):
    """Tags, attributes, section ids in order and the text of each section; tags must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.sections: list[str] = []
        self.said: dict[str, str] = {}
        self.feed(text)
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag in ("section", "header"):
            self.sections.append(dict(attrs)["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.sections and "style" not in self.open:
            here = self.sections[-1]
            self.said[here] = " ".join(f"{self.said.get(here, '')} {data}".split())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def page(view: dict[str, Any]) -> Page:
    return Page(render_data(view))


@pytest.mark.parametrize("view", DAYS)
def test_all_nine_sections_stand_in_order_whatever_the_day(view):
    assert page(view).sections == SECTIONS


@pytest.mark.parametrize("view", DAYS)
def test_contents_and_skip_link_lead_to_elements_that_exist(view):
    shown = page(view)
    inside = [href[1:] for href in shown.values("href") if href.startswith("#")]
    assert set(inside) <= set(shown.values("id"))
    assert set(SECTIONS[1:]) <= set(inside)


def test_ids_are_unique():
    ids = page(blocked_day()).values("id")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("view", DAYS)
def test_nothing_is_loaded_and_nothing_runs(view):
    text = render_data(view)
    shown = Page(text)
    assert not shown.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert not shown.values("src")
    assert not re.search(r"https?://|url\(|@import", text)
    assert not [key for key, _ in shown.attributes if key.startswith("on")]


def test_text_from_the_logs_is_escaped_wherever_it_stands():
    view = blocked_day(reasons=[NASTY] * 5, policies=[], rule_set=NASTY, attempt=NASTY)
    view["files"][0]["file"] = f"impressions/{NASTY}"
    view["files"][1]["copy_of"] = view["files"][2]["unreadable"] = NASTY
    view["quarantine"][0]["samples"] = [sample(json.dumps({"propensity": NASTY}), NASTY)]
    text = render_data(view)
    assert "<script" not in text
    assert "<b>" not in text
    assert text.count("&lt;script&gt;") > 10
    assert "script" not in Page(text).tags


def test_invisible_characters_of_the_logs_are_written_out():
    losses = [{"product_id": "safe\u202egpj.exe\x00", "rows": 1, "lost": 1, "share": 1.0}]
    text = render_data(blocked_day(losses=losses))
    assert "safe\\u202egpj.exe\\u0000" in text
    assert "\u202e" not in text


def test_same_view_same_bytes():
    assert render_data(blocked_day()) == render_data(blocked_day())


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


def test_usual_volume_is_that_of_fit_earlier_same_weekdays():
    assert usual_volume(blocked_day()) == (1, 3_903, 3_903)
    assert usual_volume(fit_day()) is None


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


def test_calendar_says_every_day_in_words_and_signs_not_in_colour_alone():
    said = page(blocked_day()).said["calendar"]
    for day in blocked_day()["calendar"]:
        assert f"{day['ds']}: " in said
    assert "10 2026-03-10: blocked, 3,910 fit bags, 10 rows set aside, this page's day" in said
    assert "2026-03-10 ✕ blocked" in said
    assert "9 2026-03-09: fit, 3,909 fit bags" in said
    assert "4 2026-03-04: not run, 0 fit bags" in said


def test_every_drawing_has_words():
    text = render_data(blocked_day())
    assert text.count("<svg") == text.count('role="img" aria-label="')
    assert text.count("<svg") >= 3


def test_boxes_that_scroll_can_be_reached_by_keyboard():
    boxes = re.findall(r'<div class="scroll[^>]*>', render_data(blocked_day()))
    assert len(boxes) >= 6
    assert all('tabindex="0"' in box and 'aria-label="' in box for box in boxes)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_view_without_a_field_is_refused_by_name(name):
    view = blocked_day()
    del view[name]
    with pytest.raises(ValueError, match=rf"missing \['{name}'\]"):
        render_data(view)


def test_an_unknown_field_is_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown \['drfit'\]"):
        render_data(blocked_day(drfit=1))


def marked(raw: str, rule: str, message: str = "") -> list[str]:
    """What of the row is marked; the whole text must still be there, unchanged."""
    text = str(mark_row(raw, rule, message))
    assert unescape(re.sub("</?mark>", "", text)) == raw
    return [unescape(part) for part in re.findall("<mark>(.*?)</mark>", text)]


def test_the_offending_field_is_marked_and_not_its_namesake_deeper_down():
    assert marked(RAW, "propensity") == ['"propensity": 1.5']
    assert marked(RAW, "day") == ['"shown_at": "2026-03-10T10:00:00Z"']
    assert marked(RAW, "type.context") == ['"context": {"propensity": 3}']


def test_only_the_slots_that_the_message_names_are_marked():
    assert marked(RAW, "element", "not in the catalog; found title=zz") == ['"title": "zz"']
    assert marked(RAW, "slot", "unknown; found image, title") == ['"title": "zz"', '"image": "m0"']
    assert marked(RAW, "element", "found what?") == ['"creative": {"title": "zz", "image": "m0"}']


def test_two_fields_of_one_rule_are_both_marked():
    raw = '{"clicks": 9, "impressions": 3}'
    assert marked(raw, "clicks") == ['"clicks": 9', '"impressions": 3']


@pytest.mark.parametrize(
    "raw", ["", "not json", "{", '{"a":', "[1, 2]", NASTY, "[" * 5_000, '{"x"']
)
@pytest.mark.parametrize("rule", ["json", "propensity", "missing.product_id", "no such rule"])
def test_a_row_that_cannot_be_read_is_shown_whole_without_marks(raw, rule):
    assert marked(raw, rule) == []


def test_a_row_that_is_cut_off_is_marked_as_far_as_it_reads():
    assert marked(RAW[:70], "day") == ['"shown_at": "2026-03-10T10:00:00Z"']
    assert marked(RAW[:50], "day") == []
    cut = {**sample(RAW[:70]), "length": len(RAW)}
    view = blocked_day(quarantine=[{"rule": "day", "rows": 1, "samples": [cut]}])
    assert "…</pre>" in render_data(view)


def test_every_rule_of_a_bag_that_can_be_quarantined_has_its_fields():
    assert {rule.id for rule in BAG_RULES if rule.severity != "warn"} <= set(FIELDS)


def test_visible_leaves_ordinary_text_alone():
    for text in ("plain", "Größe 日本 🙂", '{"a": 1}'):
        assert visible({"x": [text, (text, 1, None)]}) == {"x": [text, [text, 1, None]]}


def test_the_quantiles_of_a_lag_are_read_off_its_points():
    assert lag_quantiles(lag(1.0)) == [(0.5, "15 min"), (0.9, "30 min"), (0.99, "45 min")]
    assert lag_quantiles(lag(168.0)) == [(0.5, "42 h"), (0.9, "3.5 days"), (0.99, "5.2 days")]
    assert duration(float("nan")) == "–"


def test_a_lag_is_drawn_in_the_unit_of_its_window():
    assert "by minutes after the display" in lag_curve(lag(1.0), "clicks")
    assert "by hours after the display" in lag_curve(lag(24.0), "clicks")
    assert "by days after the display" in lag_curve(lag(168.0), "conversions")


def test_an_hour_outside_its_band_is_named_and_one_without_a_band_is_not():
    hours = [{"hour": 0, "impressions": 5, "unfit": 0}, {"hour": 1, "impressions": 50, "unfit": 0}]
    bands = [(10.0, 90.0), (10.0, 90.0), None, (0.0, 4.0), (1.0, 4.0)]
    assert outside_hours(hours, bands) == [0, 4]
    assert outside_hours(hours, [None] * 24) is None
    assert hour_columns(hours, bands).count('class="band"') == 4


def test_a_spark_line_tells_none_failed_from_not_known():
    drawn = spark([None, 0, 4, 8], "says")
    assert re.findall(r'class="(unknown|quiet|lost-day)"', drawn) == [
        "unknown", "quiet", "lost-day", "lost-day",
    ]  # fmt: skip
    heights = re.findall(r' height="([\d.]+)"', drawn)[1:]
    assert float(heights[3]) == 2 * float(heights[2])


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


def test_a_rule_shows_its_last_days_and_its_fingerprint():
    days = [
        calendar_day("2026-03-08", "FIT", 1, 0, failed={"propensity": 3}),
        calendar_day("2026-03-09", "FIT", 1, 0),
        calendar_day(DS, "FIT", 1, 0),
    ]
    text = render_data(blocked_day(calendar=days, prints={"propensity": "ab12"}))
    assert "Failed rows of the last 3 days: 3, not known, 380" in text
    assert '<span class="print">ab12</span>' in text


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


def test_columns_are_as_high_as_their_displays():
    drawing = hour_columns([{"hour": 3, "impressions": 50, "unfit": 50}])
    rects = re.findall(r'class="(amount|lost)".*? height="([\d.]+)"', drawing)
    assert [name for name, _ in rects] == ["amount", "lost"]
    assert rects[0][1] == rects[1][1]
    assert "most at 03:00 with 100; 23 hours without any" in drawing


def test_page_of_a_judged_day_shows_what_its_tables_hold(tmp_path: Path):
    from components.day import Day
    from components.ingest_logs import stage as ingest
    from components.validate_logs import stage as validate

    nasty = '<script>alert("p")</script>'
    write_catalog(tmp_path, DS)
    write_good_day(tmp_path)
    bad = [impression(k, propensity=1.5, impression_id=f"b{k}") for k in range(7)]
    bad += [
        "not json",
        impression(8, product_id=nasty, impression_id="n"),
        impression(9, context=3),
    ]
    write_lines(tmp_path, "impressions", DS, bad, "bad")
    write_lines(tmp_path, "clicks", DS, [click(1, impression_id="nobody")], "bad")
    settings = ingest.Settings(
        logs=str(tmp_path / "logs"),
        catalog=str(tmp_path / "catalog"),
        slots=SLOTS,
        context=CONTEXT,
        window_days=3,
        click_hours=1,
        conversion_days=7,
        late_days=1,
        user_limit=200,
        memory="1GB",
        identity={},
    )
    day = Day(ds=DS, store=str(tmp_path / "store"), work=str(tmp_path / "work"))
    made = ingest.run(day, settings).day
    judged = validate.run(
        made, validate.Settings(quarantined_share=0.05, user_limit=200, config_digest="c")
    )
    text = (tmp_path / "store" / judged.data_page).read_text()
    said = Page(text).said
    assert not judged.fit
    assert f"{judged.rows} bags" in said["verdict"]
    assert f"{judged.unfit} rows" in said["verdict"]
    assert "propensity : 7 rows" in said["quarantine"]
    assert "2 more of the first rows" not in said["quarantine"]
    assert "4 more of the first rows" in said["quarantine"]
    assert "<mark>&#34;propensity&#34;: 1.5</mark>" in text
    assert f"{nasty} 1 1 100 %" in said["quarantine"]
    assert "<script" not in text
    assert "10:00 60 8" in said["arrival"]
    known = {rule.id for rule in BAG_RULES} | set(reading_rules())
    assert set(re.findall(r'id="rule-([^"]+)"', text)) <= known
