"""A quarantined row as it came, with the field that is wrong marked."""

import re
from html import unescape

import pytest
from day_view import (
    NASTY,
    RAW,
    blocked_day,
    sample,
)

from validation.contract import BAG_RULES
from validation.pages.data import render_data
from validation.pages.marking import FIELDS, mark_row, visible


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
