"""A catalog that can't be used is refused in one sentence that names its file, and no other way."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_logs import DS, write_catalog, write_good_day
from told_days import validated

ROW: dict[str, Any] = {"product_id": "p0", "slot": "title", "element_id": "t0", "text": "a"}
PAIR: dict[str, Any] = {"slot_a": "title", "element_a": "t0", "slot_b": "image", "element_b": "m0"}
ELEMENTS, ALLOWED, CLASHES = "elements", "combinations", "forbidden"
BAD: dict[str, tuple[str, Any, str]] = {
    "csv": (ELEMENTS, b"a,b\n", "cannot be read"),
    "cut": (ELEMENTS, b"PAR1", "cannot be read"),
    "no column": (ELEMENTS, [{"product_id": "p0", "slot": "title"}], "no column element_id"),
    "numbers for ids": (ELEMENTS, [ROW | {"product_id": 7}], "product_id as int64; expected text"),
    "numbers for text": (ELEMENTS, [ROW | {"text": 1.5}], "text as double"),
    "an id left out": (ELEMENTS, [ROW, ROW | {"element_id": None}], "the first is row 2"),
    "told twice": (ELEMENTS, [ROW, ROW | {"text": "b"}], "more than once and not alike"),
    "no creative": (ALLOWED, [{"product_id": "p0"}], "no column creative"),
    "no JSON": (ALLOWED, [{"product_id": "p0", "creative": "title"}], "has a creative 'title'"),
    "a list": (ALLOWED, [{"product_id": "p0", "creative": [1]}], "list<element: int64>"),
    "no object": (ALLOWED, [{"product_id": "p0", "creative": "[1]"}], "has a creative '[1]'"),
    "numbers inside": (ALLOWED, [{"product_id": "p0", "creative": {"title": 1}}], "title: int64"),
    "half a pair": (CLASHES, [PAIR | {"element_b": None}], "no element_b in 1 rows"),
}


def write(root: Path, kind: str, content: Any, ds: str = DS, name: str = "part-1") -> None:
    target = root / "catalog" / kind / f"dt={ds}" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        pq.write_table(pa.Table.from_pylist(content), target)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A good day and its catalog."""
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_a_catalog_that_cannot_be_used_is_refused_by_name(good: Path, name: str) -> None:
    kind, content, found = BAD[name]
    write(good, kind, content)
    told = validated(good)
    assert (told.code, told.summary["verdict"]) == (4, "BLOCKED")
    (sentence,) = told.summary["reasons"]
    for part in (f"{kind}/dt={DS}/", found, "expected", "write the snapshot again"):
        assert part in sentence, sentence
    assert "\n" not in sentence


def test_snapshots_of_which_a_column_changed_its_type_are_refused(good: Path) -> None:
    for ds, value in (("2026-03-08", 1), ("2026-03-09", "x")):
        write(good, ELEMENTS, [ROW | {"attributes": {"a": value}}], ds)
    assert "do not go together" in validated(good).summary["reasons"][0]


@pytest.mark.parametrize(("slot", "found"), [("Title", "found Title"), (None, "no row at all")])
def test_a_snapshot_without_an_element_of_the_slots_is_refused(good: Path, slot, found) -> None:
    rows = pa.Table.from_pylist([ROW | {"slot": slot or "title"}])
    target = good / f"catalog/elements/dt={DS}/part-0.parquet"
    pq.write_table(rows if slot else rows.slice(0, 0), target)
    (sentence,) = validated(good).summary["reasons"]
    assert "no element of the config's slots title, image" in sentence
    assert found in sentence


def test_a_row_that_was_sent_twice_and_is_alike_is_no_fault(good: Path) -> None:
    again = pq.read_table(good / f"catalog/elements/dt={DS}/part-0.parquet").to_pylist()
    write(good, ELEMENTS, again)
    assert validated(good).code == 0


def test_lines_without_a_product_forbid_a_pair_for_every_product(good: Path) -> None:
    target = good / f"catalog/forbidden/dt={DS}/part-0.jsonl"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(PAIR) + "\n")
    (sentence,) = validated(good).summary["reasons"]
    assert "forbidden together: title=t0 with image=m0" in sentence
