"""Each bad input gets a stable exit code and one sentence: found, expected, where, what next."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_logs import DS, click, impression, write_catalog, write_good_day, write_lines
from told_days import GOOD, Told, bags, shown, validated, write_config

FORBIDDEN = {
    "product_id": None,
    "slot_a": "title",
    "element_a": "t2",
    "slot_b": "image",
    "element_b": "m1",
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """One good day of sixty displays."""
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    return tmp_path


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


@pytest.mark.parametrize(
    ("ds", "found"),
    [
        ("2027-01-01", f"(latest days before it: 2026-03-08, 2026-03-09, {DS})"),
        ("2026-03-09", f"(latest days before it: 2026-03-08; next day after it: {DS})"),
        ("2020-01-01", "(next day after it: 2026-03-08)"),
    ],
)
def test_a_missing_day_far_from_the_window_names_the_days_that_exist(
    good: Path, ds: str, found: str
) -> None:
    for other in ("2026-03-08", *(["2026-03-09"] if ds != "2026-03-09" else [])):
        write_good_day(good, other, 3)
    told = validated(good, ds)
    assert told.code == 4
    assert found in told.summary["reasons"][0]


def test_logs_without_any_day_are_said_to_be_empty(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    assert "lies there at all" in validated(tmp_path).summary["reasons"][0]


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
        ("publish: {explore: 0.5, sampled: 0.5}\n", "uniform 0.02 and sampled 0.5 add up"),
        ("publish: {sampled: 0.1}\ntrain_reward: {options: {members: 1}}\n", "needs rewards to"),
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
