"""Each bad input gets a stable exit code and one sentence: found, expected, where, what next."""

import gzip
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_logs import DS, click, impression, write_catalog, write_good_day, write_lines
from typer.testing import CliRunner

from pipelines import cli

CONFIG = """\
name: tiny
logs: {root}/logs
catalog: {root}/catalog
store: {root}/store
slots: [title, image]
context: {{device: categorical, hour: number}}
window_days: 3
"""
FORBIDDEN = {
    "product_id": None,
    "slot_a": "title",
    "element_a": "t2",
    "slot_b": "image",
    "element_b": "m1",
}


@dataclass(frozen=True)
class Told:
    """What a call of `genco` came to: exit code and what it printed."""

    code: int
    said: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.said.strip().splitlines()[-1])


def genco(*arguments: str) -> Told:
    """The command line in this process, its errors turned into codes as `main` does."""
    from components.errors import GencoError

    outcome = CliRunner().invoke(cli.app, list(arguments))
    if isinstance(outcome.exception, GencoError):
        return Told(outcome.exception.exit_code, str(outcome.exception))
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return Told(outcome.exit_code, outcome.output)


def write_config(root: Path, more: str = "") -> Path:
    file = root / "tiny.yaml"
    file.write_text(CONFIG.format(root=root) + more)
    return file


def validated(root: Path, ds: str = DS, more: str = "") -> Told:
    config = write_config(root, more)
    return genco("run", "--ds", ds, "--config", str(config), "--until", "validate_logs", "--json")


def shown(root: Path, rule: str) -> Told:
    return genco("dq", "show", "--ds", DS, "--config", str(root / "tiny.yaml"), "--rule", rule)


def bags(root: Path, folder: str = "") -> set[str]:
    """Ids of the fit bags of the attempt judged last."""
    manifest = json.loads((root / "store/manifests" / folder / f"ds={DS}.json").read_text())
    (entry,) = manifest["tables"]["bags"]
    return set(pq.ParquetFile(root / "store" / entry["path"]).read()["bag_id"].to_pylist())


GOOD = {f"{DS}-i{n}" for n in range(60)}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """One good day of sixty displays."""
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    return tmp_path


def add(root: Path, name: str, content: bytes, kind: str = "impressions") -> str:
    target = root / "logs" / kind / f"dt={DS}" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return f"{kind}/dt={DS}/{name}"


def whole_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"impression_id": [f"q{n}" for n in range(500)]}), sink)
    return sink.getvalue().to_pybytes()


def whole_gzip() -> bytes:
    lines = "\n".join(json.dumps(impression(n, impression_id=f"g{n}")) for n in range(500))
    return gzip.compress(lines.encode(), mtime=0)


# ---- files


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


# ---- rows


ROWS = {
    "json": ("not JSON", "not a JSON object"),
    "type.propensity": (
        impression(1, impression_id="b1", propensity="0.5"),
        'found "0.5", expected a number',
    ),
    "type.context": (
        impression(1, impression_id="b2", context={"hour": "noon"}),
        'found {"hour":"noon"}',
    ),
    "slot": (impression(1, impression_id="b3", creative={"title": "t0", "foo": "x"}), "found foo"),
    "element": (impression(1, impression_id="b4", creative={"title": "zz"}), "found title=zz"),
    "allowed": (
        impression(1, impression_id="b5", creative={"title": "t2", "image": "m1"}),
        "title=t2 with image=m1",
    ),
    "propensity": (impression(1, impression_id="b6", propensity=1.5), "found 1.5"),
    "day": (
        impression(1, impression_id="b7", shown_at="2026-03-01T07:00:00Z"),
        "found 2026-03-01 07:00:00",
    ),
    "missing.product_id": (
        impression(1, impression_id="b8", product_id=...),
        "product_id: missing",
    ),
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A good day with one bad row of each kind beside it, within the limit."""
    root = tmp_path_factory.mktemp("mixed")
    write_catalog(root)
    rows = [impression(n, creative={"title": f"t{n % 2}", "image": "m0"}) for n in range(60)]
    write_lines(root, "impressions", DS, rows)
    pairs = pa.Table.from_pylist([FORBIDDEN], pa.schema([(k, pa.string()) for k in FORBIDDEN]))
    target = root / f"catalog/forbidden/dt={DS}/part-0.parquet"
    target.parent.mkdir(parents=True)
    pq.write_table(pairs, target)
    zero = impression(1, impression_id="zero", propensity=0)
    write_lines(root, "impressions", DS, [*(row for row, _ in ROWS.values()), zero], "bad")
    write_lines(root, "clicks", DS, [click(1), click(2, clicked_at=f"{DS}T10:01:00Z")])
    return root, validated(root, more="quality: {quarantined_share: 0.5}\n")


@pytest.mark.parametrize("rule", ROWS)
def test_a_bad_row_is_shown_with_its_file_its_row_and_its_reason(mixed, rule: str) -> None:
    root, _ = mixed
    said = shown(root, rule).said
    assert f"impressions/dt={DS}/bad.jsonl.gz row {list(ROWS).index(rule) + 1}:" in said
    assert ROWS[rule][1] in said


def test_every_good_row_beside_bad_ones_is_kept(mixed) -> None:
    root, told = mixed
    assert (told.code, told.summary["verdict"]) == (0, None)
    assert bags(root) == GOOD
    assert "propensity lies in (0, 1] or is null; found 0.0" in shown(root, "propensity").said
    assert "before its impression" in shown(root, "before").said


def test_a_creative_outside_the_allow_list_is_refused(good: Path) -> None:
    kind = pa.map_(pa.string(), pa.string())
    listed = {
        "product_id": ["p0"],
        "creative": pa.array([[("title", "t0"), ("image", "m0")]], kind),
    }
    target = good / f"catalog/combinations/dt={DS}/part-0.parquet"
    target.parent.mkdir(parents=True)
    pq.write_table(pa.table(listed), target)
    told = validated(good)
    (sentence,) = told.summary["reasons"]
    assert told.code == 4
    assert "most by rule 'allowed' (20 rows)" in sentence
    assert "not in the allow-list of the product" in sentence
    assert bags(good, "judged") == {f"{DS}-i{n}" for n in range(60) if n % 2 or n % 3 == 0}


def test_too_many_bad_rows_block_with_the_first_of_the_worst_rule(good: Path) -> None:
    worst = [impression(1, impression_id=f"b{n}", propensity=1.5) for n in range(8)]
    write_lines(good, "impressions", DS, ["not JSON", *worst], "a-bad")
    told = validated(good)
    (sentence,) = told.summary["reasons"]
    assert told.code == 4
    for part in (
        "9 of 78 distinct rows",
        "limit 5.0%",
        "'propensity' (8 rows)",
        "a-bad.jsonl.gz row 2",
        "found 1.5",
        "again",
    ):
        assert part in sentence


# ---- calls


def test_a_missing_day_is_refused_and_says_which_days_there_are(good: Path) -> None:
    told = validated(good, "2026-03-12")
    (sentence,) = told.summary["reasons"]
    assert (told.code, told.summary["verdict"]) == (4, "BLOCKED")
    for part in (
        "ds=2026-03-12",
        f"{good}/logs/impressions/dt=2026-03-12/",
        DS,
        "expected",
        "again",
    ):
        assert part in sentence
    assert not (good / "store/manifests").exists()


def test_a_source_without_a_catalog_is_refused(tmp_path: Path) -> None:
    write_good_day(tmp_path)
    told = validated(tmp_path)
    assert told.code == 4
    for part in (f"{tmp_path}/catalog", "elements", "expected", "`catalog`"):
        assert part in told.summary["reasons"][0]


@pytest.mark.parametrize(
    ("ds", "found"),
    [
        ("{{$.scheduledTime}}", "did not expand"),
        ("[[ScheduledTime]]", "did not expand"),
        ("2026-02-30", "no day of the calendar"),
        ("20260310", "YYYY-MM-DD"),
        ("yesterday", "YYYY-MM-DD"),
        ("2026-03-10\n", "YYYY-MM-DD"),
    ],
)
def test_a_ds_that_is_no_day_is_wrong_use_and_touches_nothing(
    good: Path, ds: str, found: str
) -> None:
    told = validated(good, ds)
    assert told.code == 2
    assert repr(ds) in told.said
    assert found in told.said
    assert not (good / "store").exists()


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("windw_days: 3\n", "windw_days: unknown key"),
        ("seed: many\n", "seed"),
        ("optional_slots: [subtitle]\n", "subtitle"),
        ("quality: {quarantined_share: 5}\n", "quality.quarantined_share"),
    ],
)
def test_a_config_that_is_not_as_expected_is_wrong_use(good: Path, more: str, found: str) -> None:
    told = validated(good, more=more)
    assert told.code == 2
    assert found in told.said
    assert "--schema" in told.said


def test_the_installed_command_gives_the_code_and_the_sentence_once(good: Path) -> None:
    command = [str(Path(sys.executable).parent / "genco"), "run", "--ds", "{{ds}}", "--json"]
    config = write_config(good)
    done = subprocess.run(
        [*command, "--config", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "did not expand" in json.loads(done.stdout)["error"]
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
