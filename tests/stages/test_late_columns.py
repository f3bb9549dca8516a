"""JSON Lines whose columns show up late: nothing of them is lost, wherever in a file they begin."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_day import judge
from tiny_logs import DS, impression, write_catalog, write_good_day, write_lines

from components.errors import Refused
from components.ingest_logs.inputs import LogFile
from components.ingest_logs.schema import schema_of

BEFORE = "2026-03-09"
LATE: dict[str, Any] = {"user_id": ..., "propensity": ..., "context": {"device": "desk"}}
ROWS = 900


def _late(number: int, first: int) -> dict[str, Any]:
    """A display that has every column from row `first` on, and before it only what must be there."""
    full = impression(number, campaign="c1")
    full["context"]["os"] = "x"
    return full if number >= first else impression(number, **LATE)


def _columns(tmp_path: Path, lines: list[str]) -> dict[str, list[str]]:
    local = tmp_path / "part.jsonl"
    local.write_text("\n".join(lines) + "\n")
    known = (f"impressions/dt={DS}/part.jsonl", "impressions", DS, local.stat().st_size, "")
    file = _Local(*known, str(tmp_path), None)
    return schema_of([file])["impressions"]


class _Local(LogFile):
    """A log file that lies here."""

    @property
    def local(self) -> Path:
        return Path(self.location) / "part.jsonl"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, ROWS - 3), st.randoms(use_true_random=False))
def test_where_in_a_file_a_column_begins_changes_nothing(tmp_path_factory, first: int, chance):
    lines = [json.dumps(_late(number, first)) for number in range(ROWS)]
    mixed = chance.sample(lines, len(lines))
    found = _columns(tmp_path_factory.mktemp("late"), lines)
    assert found == _columns(tmp_path_factory.mktemp("mixed"), mixed)
    assert found["campaign"] == found["context.os"] == found["user_id"] == ["text"]
    assert found["propensity"] == found["context.hour"] == ["number"]


def test_a_column_that_begins_late_is_kept_and_named(tmp_path: Path) -> None:
    write_catalog(tmp_path, BEFORE)
    earlier = [impression(n, BEFORE, **LATE) for n in range(60)]
    write_lines(tmp_path, "impressions", BEFORE, earlier)
    write_lines(tmp_path, "impressions", DS, [_late(n, ROWS - 5) for n in range(ROWS)])
    day = judge(tmp_path, user_limit=10_000)
    bags = {bag["bag_id"]: bag for bag in day.rows("bags")}
    assert len(bags) == ROWS
    for number in range(ROWS):
        bag, late = bags[f"{DS}-i{number}"], number >= ROWS - 5
        assert bag["propensity"] == (0.25 if late else None)
        assert bag["context"]["hour"] == (10 if late else None)
        assert bag["cluster_id"] == (f"u{number}" if late else f"p{number % 2}")
    said = [one["says"] for one in day.manifest["findings"] if one["check"] == "schema"]
    for column, family in (("campaign", "text"), ("context.os", "text"), ("propensity", "number")):
        told = f"schema: column {column} of impressions was added since {BEFORE} ({family})"
        assert told in said


def test_the_family_is_that_of_most_of_a_files_values_not_of_its_first(tmp_path: Path) -> None:
    rows = [impression(n, propensity="0.5" if n < 300 else 0.5) for n in range(ROWS)]
    assert _columns(tmp_path, [json.dumps(row) for row in rows])["propensity"] == ["number"]


def test_lines_that_are_no_object_or_hold_a_key_twice_say_nothing_wrong(tmp_path: Path) -> None:
    good = json.dumps(impression(1))
    odd = ["[1]", "7", "null", "{", '{"odd": 1, "odd": 2}', '{"context": [1]}', '{"": {"a": 1}}']
    assert _columns(tmp_path, [good, good, good, *odd]) == _columns(tmp_path, [good] * 3)


# ---- the catalog's JSON Lines


def _catalog(root: Path, rows: list[dict[str, Any]]) -> None:
    target = root / f"catalog/elements/dt={DS}/part-0.jsonl"
    target.parent.mkdir(parents=True)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _elements(names: dict[str, list[str]], **more: Any) -> list[dict[str, Any]]:
    return [
        {"product_id": product, "slot": slot, "element_id": element, **more}
        for product in ("p0", "p1")
        for slot, elements in names.items()
        for element in elements
    ]


KNOWN = {"title": ["t0", "t1", "t2"], "image": ["m0", "m1"]}


def test_a_catalog_column_that_begins_behind_a_megabyte_is_kept(tmp_path: Path) -> None:
    filler = [{"product_id": "q", "slot": "title", "element_id": f"f{n}"} for n in range(30_000)]
    long = {"product_id": "q", "slot": "title", "element_id": "long", "text": "x" * 3_000_000}
    _catalog(tmp_path, [*filler, long, *_elements(KNOWN, text="late", attributes={"a": 1})])
    write_good_day(tmp_path)
    day = judge(tmp_path)
    assert day.result.fit
    assert len(day.rows("bags")) == 60


def test_a_catalog_id_that_looks_like_a_date_stays_text(tmp_path: Path) -> None:
    dated = {"title": ["2026-01-01", "2026-01-02"], "image": ["2026-01-03"]}
    _catalog(tmp_path, _elements(dated))
    shown = {"title": "2026-01-01", "image": "2026-01-03"}
    write_lines(tmp_path, "impressions", DS, [impression(n, creative=shown) for n in range(30)])
    assert len(judge(tmp_path).rows("bags")) == 30


def test_a_catalog_id_that_is_a_number_is_refused_by_name(tmp_path: Path) -> None:
    rows = _elements(KNOWN)
    _catalog(tmp_path, [row | {"product_id": 7} for row in rows])
    write_good_day(tmp_path)
    with pytest.raises(Refused, match=r"part-0\.jsonl of the catalog .* expected") as refused:
        judge(tmp_path)
    assert "product_id" in str(refused.value)
    assert "\n" not in str(refused.value)
