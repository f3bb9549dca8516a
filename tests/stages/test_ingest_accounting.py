"""Every row of every file is a bag, an event of one, a repeat, or in the quarantine with reasons."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tiny_day import TinyDay, ingest, judge, unbalanced
from tiny_logs import DS, click, impression, write_catalog, write_good_day, write_lines

BEFORE, AFTER = "2026-03-09", "2026-03-11"


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyDay]:
    """Three days with one of everything that may happen to an event."""
    root = tmp_path_factory.mktemp("accounting")
    write_catalog(root, BEFORE)
    for ds in (BEFORE, DS, AFTER):
        write_lines(root, "impressions", ds, [impression(n, ds) for n in range(20)])
    edge = [
        impression(0, DS, impression_id="twice", propensity=1.5),
        impression(0, DS, impression_id="twice"),
        impression(0, DS, impression_id="twice"),
        impression(0, DS, impression_id="midnight", shown_at=f"{DS}T23:50:00Z"),
        impression(0, DS, impression_id="bad", propensity=0),
        impression(0, DS, impression_id="broken", shown_at="noon"),
    ]
    write_lines(root, "impressions", DS, edge, "part-1-edge")
    source = root / "logs/impressions" / f"dt={DS}"
    shutil.copyfile(source / "part-0.jsonl.gz", source / "part-9-again.jsonl.gz")
    clicks = [
        click(1),
        click(1, clicked_at=f"{DS}T10:40:00Z"),
        click(2, clicked_at=f"{DS}T11:02:00Z"),
        click(3, clicked_at=f"{DS}T11:03:01Z"),
        click(4, clicked_at=f"{DS}T10:03:59Z"),
        click(0, impression_id="nobody"),
        click(0, impression_id="bad"),
        click(0, impression_id="broken"),
    ]
    write_lines(root, "clicks", DS, clicks)
    late = [click(5), click(0, impression_id="midnight", clicked_at=f"{AFTER}T00:10:00Z")]
    write_lines(root, "clicks", AFTER, late, "part-late")
    bought = {"impression_id": f"{DS}-i1", "converted_at": f"{DS}T12:00:00Z", "value": 3.5}
    write_lines(
        root,
        "conversions",
        DS,
        [
            bought,
            bought,
            bought | {"value": 1.0},
            bought | {"converted_at": "2026-03-12T10:01:01Z"},
        ],
    )
    write_lines(
        root,
        "conversions",
        AFTER,
        [{"impression_id": f"{BEFORE}-i1", "converted_at": f"{AFTER}T10:01:00Z"}],
    )
    last = judge(root, AFTER, quarantined_share=1)
    return {ds: _day(last, ds) for ds in (BEFORE, DS)} | {AFTER: last}


def _day(last: TinyDay, ds: str) -> TinyDay:
    manifest = json.loads((last.root / "store/manifests" / f"ds={ds}.json").read_text())
    return TinyDay(last.root, last.arrived, last.result, manifest)


def test_read_is_kept_and_duplicate_and_quarantined_of_every_file(days) -> None:
    for day in days.values():
        assert unbalanced(day.manifest) == []
        assert sum(row["read"] for row in day.manifest["accounting"]) > 0
    assert days[DS].account("part-1-edge") == (6, 2, 2, 2)
    assert days[DS].account(f"clicks/dt={DS}") == (8, 2, 1, 5)
    assert days[DS].account(f"conversions/dt={DS}") == (4, 2, 1, 1)


def test_what_is_quarantined_is_what_the_accounts_say(days) -> None:
    for day in days.values():
        counted = sum(row["quarantined"] for row in day.manifest["accounting"])
        assert (
            counted
            == len(day.rows("quarantine"))
            == day.manifest["tables"]["quarantine"][0]["rows"]
        )


def test_a_fit_copy_of_an_id_beats_an_unfit_earlier_one(days) -> None:
    assert days[DS].bag("twice")["propensity"] == 0.25
    assert 1 not in days[DS].rules("part-1-edge")


def test_a_file_that_repeats_another_is_a_duplicate_whole(days) -> None:
    assert days[DS].account("part-9-again") == (20, 0, 20, 0)
    (entry,) = [row for row in days[DS].manifest["accounting"] if "part-9" in row["file"]]
    assert entry["copy_of"] == f"impressions/dt={DS}/part-0.jsonl.gz"


def test_a_late_click_and_one_across_midnight_reach_their_bags(days) -> None:
    assert days[DS].bag(f"{DS}-i5")["clicks"] == 1
    assert days[DS].bag("midnight")["clicks"] == 1
    assert days[AFTER].account("clicks") == (2, 2, 0, 0)


def test_a_second_click_is_a_duplicate_and_the_first_one_counts(days) -> None:
    bag = days[DS].bag(f"{DS}-i1")
    assert (bag["clicks"], bag["clicked_at"].minute) == (1, 1)


def test_a_click_counts_up_to_the_end_of_its_window(days) -> None:
    assert days[DS].bag(f"{DS}-i2")["clicks"] == 1
    assert days[DS].bag(f"{DS}-i3")["clicks"] == 0


def test_every_event_without_a_bag_says_why(days) -> None:
    refused = days[DS].rules(f"clicks/dt={DS}")
    assert refused == {
        4: ["window"],
        5: ["before"],
        6: ["orphan"],
        7: ["unusable"],
        8: ["unusable"],
    }
    assert days[DS].rules("conversions") == {4: ["window"]}


def test_conversions_count_each_purchase_once_within_their_window(days) -> None:
    bag = days[DS].bag(f"{DS}-i1")
    assert (bag["conversions"], bag["value"]) == (2, 4.5)
    earlier = days[BEFORE].bag(f"{BEFORE}-i1")
    assert (earlier["conversions"], earlier["value"]) == (1, 0.0)


def test_outcomes_are_mature_once_their_window_has_closed(days) -> None:
    mature = {ds: days[ds].bag(f"{ds}-i1") for ds in days}
    assert all(bag["click_mature"] for bag in mature.values())
    assert [mature[ds]["conversion_mature"] for ds in (BEFORE, DS, AFTER)] == [True, False, False]


def test_a_display_near_the_end_of_the_last_day_is_not_mature(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    times = {"closed": "23:00:00", "open": "23:00:01"}
    rows = [impression(1, impression_id=k, shown_at=f"{DS}T{at}Z") for k, at in times.items()]
    write_lines(tmp_path, "impressions", DS, rows)
    day = judge(tmp_path)
    assert (day.bag("closed")["click_mature"], day.bag("open")["click_mature"]) == (True, False)


# ---- every kind of file


def _parquet(
    root: Path, name: str, rows: list[dict[str, Any]], types: dict[str, pa.DataType]
) -> None:
    target = root / "logs/impressions" / f"dt={DS}" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    columns = {key: pa.array([row[key] for row in rows], types.get(key)) for key in rows[0]}
    columns["shown_at"] = pa.array([row["shown_at"].rstrip("Z") for row in rows]).cast(
        "timestamp[ms]"
    )
    pq.write_table(pa.table(columns), target)


def _as_map(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"creative": list(row["creative"].items())}


def _as_text(row: dict[str, Any]) -> dict[str, Any]:
    return row | {key: json.dumps(row[key]) for key in ("creative", "context")}


@pytest.fixture(scope="module")
def bags_by_form(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    rows = [impression(n) for n in range(12)]
    rows[3]["creative"] = {"image": "m0"}
    rows[4]["context"] = {"device": "desk"}
    rows[5]["propensity"] = None
    every = {}
    for form in ("lines", "map", "struct", "text"):
        root = tmp_path_factory.mktemp(form)
        write_catalog(root)
        if form == "lines":
            write_lines(root, "impressions", DS, rows)
        if form == "map":
            creative = pa.map_(pa.string(), pa.string())
            _parquet(root, "part-0", [_as_map(row) for row in rows], {"creative": creative})
        if form == "struct":
            _parquet(root, "part-0", rows, {})
        if form == "text":
            _parquet(root, "part-0", [_as_text(row) for row in rows], {})
        every[form] = judge(root).rows("bags")
    return every


@pytest.mark.parametrize("form", ["map", "struct", "text"])
def test_parquet_gives_the_bags_that_json_lines_give(bags_by_form, form: str) -> None:
    assert len(bags_by_form["lines"]) == 12
    assert bags_by_form[form] == bags_by_form["lines"]


def test_an_absent_slot_and_an_absent_propensity_stay_absent(bags_by_form) -> None:
    bags = {bag["bag_id"]: bag for bag in bags_by_form["struct"]}
    assert bags[f"{DS}-i3"]["creative"] == [{"slot": "image", "element": "m0"}]
    assert bags[f"{DS}-i5"]["propensity"] is None
    assert bags[f"{DS}-i4"]["context"] == {"device": "desk", "hour": None}


def test_aggregates_become_bags_with_their_counts_and_unfit_ones_do_not(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    row = {k: v for k, v in impression(1).items() if k not in ("impression_id", "user_id")}
    counts = [
        {"impressions": 100, "clicks": 7, "conversions": 2, "value": 9.5},
        {"impressions": 50},
        {"impressions": 3, "clicks": 4},
        {"impressions": 3, "clicks": -1},
        {"impressions": 3.5},
        {"impressions": 3, "conversions": -1},
        {"impressions": -3},
        {"impressions": 2**70},
    ]
    write_lines(tmp_path, "aggregates", DS, [row | count for count in counts])
    day = judge(tmp_path, quarantined_share=1)
    kept = {(b["impressions"], b["clicks"], b["conversions"], b["value"]) for b in day.rows("bags")}
    assert kept == {(100, 7, 2, 9.5), (50, 0, 0, 0.0)}
    assert day.account("aggregates") == (8, 2, 0, 6)
    refused = day.rules("aggregates")
    assert [refused[n][0] for n in range(3, 7)] == [
        "clicks",
        "negative_clicks",
        "type.impressions",
        "conversions",
    ]
    assert "impressions" in refused[7]
    assert refused[8] == ["type.impressions"]


# ---- the same inputs, the same work


def _published(root: Path) -> dict[str, str]:
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((root / "store").rglob("*"))
        if file.is_file() and "ingest_logs/result" not in file.as_posix()
    }


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("week")
    write_catalog(root, "2026-03-04")
    for number in range(4, 11):
        write_good_day(root, f"2026-03-{number:02d}", 12)
    return root


def test_a_rerun_makes_nothing_again_and_leaves_the_same_bytes(week: Path) -> None:
    first = judge(week)
    assert len(first.arrived.again) == 7
    before = _published(week)
    again = judge(week)
    assert again.arrived.again == []
    assert again.arrived.day == first.arrived.day
    assert _published(week) == before


def test_the_same_source_in_another_store_gives_the_same_bytes(week: Path, tmp_path: Path) -> None:
    judge(week)
    for part in ("logs", "catalog"):
        shutil.copytree(week / part, tmp_path / part)
    judge(tmp_path)
    mine, others = _published(tmp_path), _published(week)
    assert mine.keys() <= others.keys()
    assert [path for path in mine if mine[path] != others[path]] == []


def test_a_late_row_makes_again_only_the_days_that_it_can_reach(week: Path) -> None:
    judge(week)
    write_lines(week, "clicks", "2026-03-07", [click(1, "2026-03-07")], "late")
    made = ingest(week)
    assert made.again == [
        "2026-03-04",
        "2026-03-05",
        "2026-03-06",
        "2026-03-07",
        "2026-03-08",
        "2026-03-09",
        "2026-03-10",
    ]
    (week / "logs/clicks/dt=2026-03-07/late.jsonl.gz").unlink()
    assert ingest(week).again == []


def test_a_row_at_the_end_of_the_window_leaves_the_early_days_alone(week: Path) -> None:
    judge(week)
    write_lines(week, "clicks", "2026-03-10", [click(1, "2026-03-10")], "late")
    made = ingest(week)
    (week / "logs/clicks/dt=2026-03-10/late.jsonl.gz").unlink()
    assert made.again == ["2026-03-07", "2026-03-08", "2026-03-09", "2026-03-10"]


def test_what_is_published_follows_the_logs_back_to_where_they_were(week: Path) -> None:
    first = judge(week).manifest
    write_lines(week, "clicks", DS, [click(1)], "late")
    changed = judge(week).manifest
    (week / f"logs/clicks/dt={DS}/late.jsonl.gz").unlink()
    judge(week)
    published = json.loads((week / "store/manifests" / f"ds={DS}.json").read_text())
    assert changed["attempt"] != first["attempt"]
    assert published == first


# ---- anything at all


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.sampled_from(["infinity", "epoch", f"{DS}T10:00:00Z", "2026-13-40", "", "t0", "m1", "p0"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["title", "image", "device", "hour", "", "x"]), inner, max_size=3
        ),
    ),
    max_leaves=5,
)
_KEYS = (
    *impression(0),
    "clicked_at",
    "converted_at",
    "value",
    "impressions",
    "clicks",
    "conversions",
)
_ROWS = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6)
_BENT = st.builds(
    lambda number, row: json.dumps(impression(number) | row), st.integers(0, 9), _ROWS
)
_CUT = st.builds(lambda line, at: line[:at], _BENT, st.integers(0, 200))
_LINES = st.one_of(_BENT, _CUT, st.text(max_size=30).map(lambda text: text.replace("\n", " ")))
_NASTY = (
    json.dumps(impression(1)).replace('"image": ', '"title": "t0", "image": "m0", "image": '),
    json.dumps(impression(1, shown_at="infinity")),
    json.dumps(impression(1, propensity=1.0)).replace("1.0", "1e999"),
    json.dumps(impression(1)).replace('"hour": 10', '"hour": 1e999'),
    json.dumps(impression(1, impressions=2**70)),
    '{"impression_id":' * 3000 + "1" + "}" * 3000,
    "\ufeff{}",
    '{"impression_id": "\\ud800"}',
    "\x00",
)


def _collected(lines: st.SearchStrategy[str], count: int) -> list[str]:
    found: list[str] = list(_NASTY)

    @settings(
        max_examples=count, deadline=None, derandomize=True, database=None, phases=[Phase.generate]
    )
    @given(line=lines)
    def collect(line: str) -> None:
        found.append(line)

    collect()
    return found


def test_whatever_a_line_holds_it_is_accounted_for(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    write_good_day(tmp_path, rows=10)
    lines = _collected(_LINES, 400)
    content = [line.encode("utf-8", "surrogatepass") for line in lines]
    for kind in ("impressions", "clicks", "conversions", "aggregates"):
        target = tmp_path / "logs" / kind / f"dt={DS}" / "fuzz.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"\n".join(content) + b"\n")
    day = judge(tmp_path, quarantined_share=1)
    assert unbalanced(day.manifest) == []
    sent = sum(bool(line.strip()) for line in content)
    assert sent > 200
    for kind in ("impressions", "clicks", "conversions", "aggregates"):
        assert day.account(f"{kind}/dt={DS}/fuzz")[0] == sent
    refused = day.rules(f"impressions/dt={DS}/fuzz")
    assert [refused[n] for n in (1, 2, 3, 4)] == [
        ["type.creative"],
        ["type.shown_at"],
        ["type.propensity"],
        ["type.context"],
    ]
    assert {f"{DS}-i{n}" for n in range(10)} <= {bag["bag_id"] for bag in day.rows("bags")}
    assert all(row["reasons"] and row["raw"] is not None for row in day.rows("quarantine"))
