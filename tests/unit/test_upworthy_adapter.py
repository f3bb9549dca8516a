"""The archive's arms become aggregates and a catalog as the contract has them, none invented."""

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_day import judge, unbalanced

from examples.upworthy.adapter import NO_IMAGE, element_id, write
from examples.upworthy.archive import read_archive, split_p_value

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data/upworthy/experiments.parquet"
ARCHIVE_COLUMNS = [
    "",
    "created_at",
    "updated_at",
    "clickability_test_id",
    "excerpt",
    "headline",
    "lede",
    "slug",
    "eyecatcher_id",
    "impressions",
    "clicks",
    "significance",
    "first_place",
    "winner",
    "share_text",
    "square",
    "test_week",
]
T1, T2, FAULTY, UNEVEN, LATER = (f"51436061220cbf800{n:07d}" for n in range(5))
Arm = tuple[str, str, str | None, str | None, int, int]  # test, start, headline, image, counts
ARMS: list[Arm] = [
    (T1, "2014-03-01 11:33:26.475", "He said 'no', and \"why\"", "00a1", 3000, 60),
    (T1, "2014-03-01 11:33:26.475", "He said 'no', and \"why\"", "00b2", 3010, 61),
    (T1, "2014-03-01 11:35:00", "Quite another", "00a1", 2990, 20),
    (T1, "2014-03-01 11:35:00", "Quite another", "00a1", 3005, 25),
    (T2, "2014-03-02 00:00:01", "Words — with é", None, 500, 3),
    (T2, "2014-03-02 00:00:01", None, None, 510, 4),
    (FAULTY, "2013-09-01 00:00:00", "a", "00c3", 500, 3),
    (FAULTY, "2013-09-01 00:00:00", "b", "00c3", 500, 3),
    (UNEVEN, "2014-03-02 00:00:00", "a", "00c3", 900, 3),
    (UNEVEN, "2014-03-02 00:00:00", "b", "00c3", 300, 3),
    (LATER, "2014-03-03 09:00:00", "only", "00d4", 700, 7),
    (LATER, "2014-03-03 09:00:00", "other", "00d4", 702, 0),
]


def write_csv(target: Path, arms: list[Arm]) -> Path:
    rows = []
    for number, (test, start, headline, image, shown, clicks) in enumerate(arms):
        row: dict[str, Any] = dict.fromkeys(ARCHIVE_COLUMNS, "x")
        row |= {"": number, "created_at": start, "clickability_test_id": test, "headline": headline}
        rows.append(row | {"eyecatcher_id": image, "impressions": shown, "clicks": clicks})
    pd.DataFrame(rows, columns=ARCHIVE_COLUMNS).to_csv(target, index=False)
    return target


@pytest.fixture(scope="module")
def adapted(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, Any], dict[str, int]]:
    root = tmp_path_factory.mktemp("archive")
    arms, left_out = read_archive(write_csv(root / "archive.csv", ARMS))
    return root, write(arms, root), left_out


def lines(root: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted((root / "logs").rglob("*.jsonl.gz")):
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            found.append({"dt": file.parent.name[3:], **json.loads(line)})
    return found


def test_an_aggregate_has_the_contracts_columns_and_types(adapted) -> None:
    root, told, _ = adapted
    rows = lines(root)
    assert len(rows) == told["combinations"] == 7
    for row in rows:
        assert set(row) == {
            "dt",
            "product_id",
            "context",
            "creative",
            "propensity",
            "policy",
            "shown_at",
            "impressions",
            "clicks",
        }
        assert set(row["creative"]) == {"headline", "image"}
        assert row["context"] == {}
        assert isinstance(row["impressions"], int)
        assert 0 <= row["clicks"] <= row["impressions"]
        assert row["shown_at"].startswith(row["dt"])
        assert row["shown_at"].endswith("Z")


def test_the_catalog_has_the_contracts_columns_and_types(adapted) -> None:
    root, told, _ = adapted
    elements = pq.ParquetFile(root / f"catalog/elements/dt={told['first']}/part-0.parquet").read()
    text = pa.string()
    assert {f.name: f.type for f in elements.schema} == {
        "product_id": text,
        "slot": text,
        "element_id": text,
        "text": text,
        "created_at": pa.timestamp("ms"),
    }
    keys = [(row["product_id"], row["slot"], row["element_id"]) for row in elements.to_pylist()]
    assert len(keys) == len(set(keys))
    headlines = {
        row["element_id"]: row["text"] for row in elements.to_pylist() if row["slot"] == "headline"
    }
    assert headlines[element_id("Words — with é")] == "Words — with é"
    listed = pq.ParquetFile(root / f"catalog/combinations/dt={told['last']}/part-0.parquet").read()
    shown = {(row["product_id"], *sorted(row["creative"].items())) for row in lines(root)}
    assert {(row["product_id"], *sorted(row["creative"])) for row in listed.to_pylist()} == shown


def test_a_propensity_is_the_share_of_arms_and_sums_to_one_a_test(adapted) -> None:
    root, _, _ = adapted
    by_test = defaultdict(list)
    for row in lines(root):
        by_test[row["product_id"]].append(row)
    assert {
        test: sum(r["propensity"] for r in rows) for test, rows in by_test.items()
    } == pytest.approx(dict.fromkeys((T1, T2, LATER), 1.0))
    merged = {r["creative"]["headline"]: r for r in by_test[T1] if r["creative"]["image"] == "00a1"}
    twice = merged[element_id("Quite another")]
    assert (twice["propensity"], twice["impressions"], twice["clicks"]) == (0.5, 5995, 45)


def test_arms_of_a_test_share_its_first_start(adapted) -> None:
    root, _, _ = adapted
    starts = {row["shown_at"] for row in lines(root) if row["product_id"] == T1}
    assert starts == {"2014-03-01T11:33:26.475000Z"}


def test_a_missing_picture_or_headline_is_an_element_of_its_own(adapted) -> None:
    root, _, _ = adapted
    shown = [row["creative"] for row in lines(root) if row["product_id"] == T2]
    assert {creative["image"] for creative in shown} == {NO_IMAGE}
    assert {creative["headline"] for creative in shown} == {
        element_id("Words — with é"),
        element_id(""),
    }


def test_tests_that_the_authors_warn_of_are_left_out_and_counted(adapted) -> None:
    root, told, left_out = adapted
    assert left_out == {"tests of the faulty months": 1, "tests split unevenly": 1}
    assert {row["product_id"] for row in lines(root)} == {T1, T2, LATER}
    kept = [arm for arm in ARMS if arm[0] in (T1, T2, LATER)]
    assert (told["tests"], told["arms"]) == (3, len(kept))
    assert (told["impressions"], told["clicks"]) == (
        sum(a[4] for a in kept),
        sum(a[5] for a in kept),
    )


def test_ingest_keeps_every_combination(adapted) -> None:
    root, told, _ = adapted
    day = judge(root, told["last"], slots=("headline", "image"), context={}, window_days=5)
    assert day.result.fit
    clicks = shown = 0
    for ds in ("2014-03-01", "2014-03-02", "2014-03-03"):
        manifest = json.loads((root / f"store/manifests/ds={ds}.json").read_text())
        assert unbalanced(manifest) == []
        assert manifest["tables"]["quarantine"][0]["rows"] == 0
        (entry,) = manifest["tables"]["bags"]
        bags = pq.ParquetFile(root / "store" / entry["path"]).read()
        clicks += sum(bags["clicks"].to_pylist())
        shown += sum(bags["impressions"].to_pylist())
    assert (shown, clicks) == (told["impressions"], told["clicks"])


def test_the_prepared_parquet_gives_the_files_that_the_csv_gives(adapted, tmp_path: Path) -> None:
    root, _, _ = adapted
    arms, _ = read_archive(root / "archive.csv")
    arms.assign(lede="x", excerpt="y").sample(frac=1, random_state=0).to_parquet(
        tmp_path / "arms.parquet"
    )
    again, left_out = read_archive(tmp_path / "arms.parquet")
    write(again, tmp_path)
    assert left_out == {}
    for part in ("logs", "catalog"):
        mine = {
            f.relative_to(tmp_path): f.read_bytes()
            for f in (tmp_path / part).rglob("*.*")
            if f.is_file()
        }
        other = {
            f.relative_to(root): f.read_bytes() for f in (root / part).rglob("*.*") if f.is_file()
        }
        assert mine == other


def test_a_file_without_the_archives_columns_is_refused_with_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("created_at,clickability_test_id,clicks\n2014-03-01,t,3\n")
    with pytest.raises(
        ValueError, match=r"no column headline, image_id, impressions \(found created_at"
    ):
        read_archive(tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ((1000, 1100), 0.0291),
        ((900, 1000, 1100), 4.54e-5),
        ((1000, 1152), 0.00105),
        ((5,), 1.0),
        ((0, 0), 1.0),
    ],
)
def test_the_split_test_agrees_with_the_chi_squared_tail(counts: tuple[int, ...], p: float) -> None:
    # exact tails of chi-squared at 4.762 (1 degree of freedom), 20.0 (2) and 10.736 (1)
    assert split_p_value(counts) == pytest.approx(p, rel=0.2, abs=1e-4)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared archive is not here")
def test_the_shared_archive_is_taken_whole(tmp_path: Path) -> None:
    arms, _ = read_archive(SHARED)
    told = write(arms, tmp_path)
    assert (told["arms"], told["tests"], told["clicks"]) == (14_528, 3_044, 733_591)
    day = judge(tmp_path, told["last"], slots=("headline", "image"), context={}, window_days=3)
    assert day.result.fit
    assert day.rows("quarantine") == []
    sums: dict[str, float] = defaultdict(float)
    for row in lines(tmp_path):
        sums[row["product_id"]] += row["propensity"]
    assert max(abs(total - 1) for total in sums.values()) < 1e-12
