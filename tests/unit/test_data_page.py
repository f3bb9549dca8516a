"""The data page as a whole: nine sections in order, self-contained, escaped, its numbers those of the day."""

import json
import re
from pathlib import Path

import pytest
from day_view import (
    DS,
    NASTY,
    blocked_day,
    empty_day,
    fit_day,
    sample,
)
from page_html import Page, page
from tiny_logs import CONTEXT, SLOTS, click, impression, write_catalog, write_good_day, write_lines

from validation.contract import BAG_RULES
from validation.pages.data import REQUIRED, render_data
from validation.pages.day_rows import reading_rules

SECTIONS = [
    "verdict", "arrival", "checks", "quarantine", "drift", "labels", "features", "alerts",
    "calendar",
]  # fmt: skip
DAYS = [blocked_day(), fit_day(), empty_day()]


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
