"""Files that are not what they should be: named, the day blocked, and no good row lost."""

import gzip
import hashlib
import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_logs import DS, impression, write_catalog, write_good_day, write_lines
from told_days import GOOD, add, bags, genco, shown, validated


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """One good day of sixty displays."""
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    return tmp_path


def whole_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"impression_id": [f"q{n}" for n in range(500)]}), sink)
    return sink.getvalue().to_pybytes()


def whole_gzip() -> bytes:
    lines = "\n".join(json.dumps(impression(n, impression_id=f"g{n}")) for n in range(500))
    return gzip.compress(lines.encode(), mtime=0)


CUT = {
    "cut.parquet": (whole_parquet()[:700], "not a whole Parquet file"),
    "words.parquet": (b"not a table", "not a whole Parquet file"),
    "nothing.parquet": (b"", "is empty"),
    "cut.jsonl.gz": (whole_gzip()[:900], "not a whole gzip file"),
    "plain.jsonl.gz": (b'{"impression_id": "g0"}\n', "not a whole gzip file"),
    "nothing.jsonl.gz": (b"", "is empty"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_broken_file_blocks_the_day_and_no_good_row_is_lost(good: Path, name: str) -> None:
    content, found = CUT[name]
    path = add(good, name, content)
    told = validated(good)
    assert told.code == 4
    assert told.summary["verdict"] == "BLOCKED"
    (sentence,) = told.summary["reasons"]
    assert all(part in sentence for part in (path, found, "expected", "again")), sentence
    assert bags(good, "judged") == GOOD


def test_a_text_file_without_a_line_is_no_fault(good: Path) -> None:
    path = add(good, "quiet-hour.jsonl", b"", kind="clicks")
    assert validated(good).code == 0
    report = genco(
        "dq", "report", "--ds", DS, "--config", str(good / "tiny.yaml"), "--json"
    ).summary
    (row,) = [row for row in report["accounting"] if row["file"] == path]
    assert (row["read"], row["kept"]) == (0, 0)
    assert bags(good) == GOOD


def test_a_blocked_day_leaves_what_was_published_byte_for_byte(good: Path) -> None:
    assert validated(good).code == 0
    manifest = good / "store/manifests" / f"ds={DS}.json"
    tables = json.loads(manifest.read_text())["tables"]
    files = [
        manifest,
        *(good / "store" / entry["path"] for kind in tables.values() for entry in kind),
    ]
    before = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    add(good, "cut.parquet", CUT["cut.parquet"][0])
    write_lines(good, "impressions", DS, ["no JSON"], "bad")
    told = validated(good)
    assert (told.code, told.summary["verdict"]) == (4, "BLOCKED")
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == before
    assert "no JSON" in shown(good, "json").said
    (good / f"logs/impressions/dt={DS}/cut.parquet").unlink()
    (good / f"logs/impressions/dt={DS}/bad.jsonl.gz").unlink()
    assert validated(good).code == 0
    assert "0 rows" in shown(good, "json").said


def test_a_file_sent_twice_changes_no_bag(good: Path) -> None:
    again = (good / f"logs/impressions/dt={DS}/part-0.jsonl.gz").read_bytes()
    path = add(good, "part-9-again.jsonl.gz", again)
    assert validated(good).code == 0
    report = genco(
        "dq", "report", "--ds", DS, "--config", str(good / "tiny.yaml"), "--json"
    ).summary
    (row,) = [row for row in report["accounting"] if row["file"] == path]
    assert (row["read"], row["duplicate"]) == (60, 60)
    assert bags(good) == GOOD


LINES = "".join(
    json.dumps(impression(n, impression_id=f"e{n}", user_id="J\u00fcrgen"), ensure_ascii=False)
    + "\n"
    for n in range(9)
)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_of_another_encoding_is_never_read_with_letters_replaced(
    good: Path, encoding: str
) -> None:
    path = add(good, "other.jsonl", LINES.encode(encoding))
    told = validated(good)
    assert told.code == 4
    none, most = told.summary["reasons"]
    assert path in none
    assert "lines and none is a JSON object" in none
    assert f"{path} row 1: the line is not UTF-8 text" in most
    assert bags(good, "judged") == GOOD


def test_a_byte_order_mark_is_no_part_of_the_first_line(good: Path) -> None:
    add(good, "marked.jsonl", LINES.encode("utf-8-sig"))
    assert validated(good).code == 0
    assert bags(good) == GOOD | {f"e{n}" for n in range(9)}


def displays(count: int, **columns: object) -> pa.Table:
    """Parquet's table of fit displays; `columns` replace or add some."""
    rows = [impression(n, impression_id=f"q{n}") for n in range(count)]
    found: dict[str, object] = {key: [row[key] for row in rows] for key in rows[0]}
    times = pa.array([row["shown_at"].rstrip("Z") for row in rows])
    return pa.table(found | {"shown_at": times.cast(pa.timestamp("us"))} | columns)


def as_bytes(table: pa.Table, compression: str = "zstd") -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=compression)
    return sink.getvalue().to_pybytes()


TWICE = displays(3).append_column("policy", pa.array(["other"] * 3))
MISNAMED = {
    "gzip.jsonl": (whole_gzip(), "is gzip, not JSON Lines as its name says"),
    "table.jsonl": (as_bytes(displays(3)), "is Parquet, not JSON Lines"),
    "table.csv": (b"impression_id\nq1\n", "does not end like JSON Lines (.jsonl)"),
    "array.json": (json.dumps([impression(1)] * 9).encode(), "1 lines and none is a JSON object"),
    "head.jsonl": (b"impression_id,shown_at\n", "1 lines and none is a JSON object"),
    "twice.parquet": (as_bytes(TWICE), "has column policy more than once"),
    "letters.parquet": (
        as_bytes(displays(3).rename_columns({"propensity": "Propensity"})),
        "expected propensity (found Propensity)",
    ),
    "reserved.parquet": (as_bytes(displays(3, file_index=[1, 2, 3])), "has column file_index"),
    "columns.parquet": (as_bytes(pa.table({})), "not a whole Parquet file"),
}


@pytest.mark.parametrize("name", MISNAMED)
def test_a_file_that_is_something_else_blocks_the_day_by_name(good: Path, name: str) -> None:
    content, found = MISNAMED[name]
    path = add(good, name, content)
    told = validated(good)
    assert told.code == 4
    (sentence,) = told.summary["reasons"]
    assert all(part in sentence for part in (path, found, "expected", "again")), sentence
    assert str(good) not in sentence
    assert bags(good, "judged") == GOOD


def test_a_long_way_to_a_broken_file_is_not_told(tmp_path: Path) -> None:
    """What a library says is cut short, also where the cut goes through the file's name."""
    far = tmp_path / ("far" * 50)
    far.mkdir()
    write_catalog(far)
    write_good_day(far)
    path = add(far, "columns.parquet", MISNAMED["columns.parquet"][0])
    (sentence,) = validated(far).summary["reasons"]
    assert path in sentence
    assert "farfar" not in sentence


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
def test_bytes_that_turned_over_in_parquet_never_end_a_run_without_a_verdict(
    good: Path, compression: str
) -> None:
    chance = random.Random(compression)
    whole = as_bytes(displays(300), compression)
    codes = []
    for number in range(8):
        bent = bytearray(whole)
        for place in chance.sample(range(len(bent)), 1 + number % 3):
            bent[place] ^= chance.randrange(1, 256)
        path = add(good, "bent.parquet", bytes(bent))
        told = validated(good, more="quality: {quarantined_share: 1}\n")
        codes.append(told.code)
        if told.code == 4:
            assert path in told.summary["reasons"][0]
            assert bags(good, "judged") == GOOD
        else:
            assert told.code == 0
            assert bags(good) >= GOOD
    assert 4 in codes, "the bytes that turned over were looked at by nobody"


def test_a_broken_file_sent_again_on_the_next_day_blocks_that_day_too(good: Path) -> None:
    before = "2026-03-09"
    write_good_day(good, before)
    first = add(good, "a-cut.parquet", CUT["cut.parquet"][0])
    earlier = good / first.replace(DS, before).replace("impressions/", "logs/impressions/")
    (good / "logs" / first).replace(earlier)
    again = add(good, "b-cut.parquet", earlier.read_bytes())
    told = validated(good)
    assert told.code == 4
    assert again in told.summary["reasons"][0]


def test_files_without_a_row_are_no_copies_of_each_other(good: Path) -> None:
    empty = as_bytes(displays(1).slice(0, 0))
    add(good, "none-0.parquet", empty)
    path = add(good, "none-1.parquet", empty)
    assert validated(good).code == 0
    report = genco("dq", "report", "--ds", DS, "--config", str(good / "tiny.yaml"), "--json")
    (entry,) = [one for one in report.summary["accounting"] if one["file"] == path]
    assert "copy_of" not in entry


def test_files_in_no_days_folder_are_warned_of(good: Path) -> None:
    shutil.copy(good / f"logs/impressions/dt={DS}/part-0.jsonl.gz", good / "logs/impressions/x.gz")
    for folder in ("dt=2026-3-9", "dt=2026-02-30"):
        (good / "logs/impressions" / folder).mkdir()
        (good / "logs/impressions" / folder / "part.jsonl").write_text("{}\n")
    assert validated(good).code == 0
    report = genco("dq", "report", "--ds", DS, "--config", str(good / "tiny.yaml"), "--json")
    (said,) = [one for one in report.summary["warnings"] if "no dt=YYYY-MM-DD folder" in one]
    assert said.startswith("3 files")
    assert "impressions/dt=2026-02-30/part.jsonl" in said
    assert bags(good) == GOOD


@pytest.mark.parametrize("place", ["logs", "logs/clicks", "catalog"])
def test_a_file_where_a_folder_should_be_is_named(good: Path, place: str) -> None:
    shutil.rmtree(good / place)
    (good / place).write_text("x")
    told = validated(good)
    assert (told.code, "expected a folder" in told.said) == (1, True)
    assert str(good / place) in told.said


def test_a_link_to_nothing_is_named(good: Path) -> None:
    (good / f"logs/impressions/dt={DS}/gone.jsonl").symlink_to(good / "nowhere")
    told = validated(good)
    assert told.code == 1
    assert "gone.jsonl" in told.said
    assert "link to nothing" in told.said


@pytest.mark.parametrize("form", ["lines", "parquet"])
def test_a_day_whose_files_hold_no_display_says_so_first(good: Path, form: str) -> None:
    (good / f"logs/impressions/dt={DS}/part-0.jsonl.gz").unlink()
    empty = b"" if form == "lines" else as_bytes(displays(1).slice(0, 0))
    add(good, "part.jsonl" if form == "lines" else "part.parquet", empty)
    told = validated(good)
    assert told.code == 4
    assert "hold no row that can be read" in told.summary["reasons"][0]
