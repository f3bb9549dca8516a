"""Clicks gained over uniform choice on later tests of the Upworthy archive, by several ways.

Learned on the earlier 80 % of tests in order of time, judged on the later ones. Every arm has its
own randomised click rate, so the value of a way of choosing is read off test by test: ties are
averaged, a test weighs its impressions, intervals are drawn over tests (1,000 draws, paired).
TF-IDF with ridge takes its penalty from five folds of the training tests.
"""

import argparse
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from examples.upworthy.adapter import combinations
from examples.upworthy.archive import read_archive
from model.bags import Bags, read_bags
from model.elements import Elements
from model.reward.fit import RewardConfig, fit_reward

SHARED = Path(__file__).resolve().parents[2] / "shared/data/upworthy/experiments.parquet"
SLOTS = ("headline", "image")
LATER = 0.8
DRAWS = 1000
FOLDS = 5
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@dataclass(frozen=True, eq=False)
class Archive:
    """Combinations in order of time; place (n,) in 0..1 is the test's rank by its start."""

    rows: pd.DataFrame
    place: np.ndarray
    bags: Bags
    elements: Elements
    varied: np.ndarray  # (n,) True where the test shows several headlines


def read(source: Path) -> Archive:
    rows = combinations(read_archive(source)[0]).reset_index(drop=True)
    start = rows.groupby("test_id")["created_at"].min().sort_values(kind="stable")
    rank = {test: number / len(start) for number, test in enumerate(start.index)}
    headlines = rows[["test_id", "element_id", "headline"]].drop_duplicates()
    images = rows[["test_id", "image_id"]].drop_duplicates()
    elements = pa.table(
        {
            "product_id": [*map(str, headlines["test_id"]), *map(str, images["test_id"])],
            "slot": ["headline"] * len(headlines) + ["image"] * len(images),
            "element_id": [*headlines["element_id"], *images["image_id"]],
            "text": [*headlines["headline"], *[""] * len(images)],
        }
    )
    creative = [
        [("headline", h), ("image", i)]
        for h, i in zip(rows["element_id"], rows["image_id"], strict=True)
    ]
    bags = pa.table(
        {
            "product_id": rows["test_id"].astype(str),
            "context": ["{}"] * len(rows),
            "creative": pa.array(creative, pa.map_(pa.string(), pa.string())),
            "impressions": rows["impressions"],
            "clicks": rows["clicks"],
        }
    )
    known = Elements.from_table(elements, SLOTS)
    varied = rows.groupby("test_id")["element_id"].transform("nunique").to_numpy() > 1
    place = rows["test_id"].map(rank).to_numpy()
    return Archive(rows, place, read_bags(bags, known, {}), known, varied)


def ours(archive: Archive, train: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """(n,) log-odds predicted by our reward model with its defaults."""
    tuned = np.array([zlib.crc32(p.encode()) % 10 < 1 for p in archive.bags.product_id[train]])
    reward = fit_reward(
        archive.bags.take(train[~tuned]),
        archive.bags.take(train[tuned]),
        archive.elements,
        {},
        RewardConfig(),
        seed=0,
    )
    click = reward.predict(archive.bags.take(judged), archive.elements).click
    return np.log(click / (1 - click))


def ridge(archive: Archive, train: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """(n,) deviation of log click rate within the test, predicted from the headline's words."""
    within = train[archive.varied[train]]
    fold = np.array([zlib.crc32(p.encode()) % FOLDS for p in archive.bags.product_id[within]])
    gains = [_cross_validated(archive, within, fold, penalty) for penalty in PENALTIES]
    return _ridge(archive, within, judged, PENALTIES[int(np.argmax(gains))])


def _cross_validated(
    archive: Archive, within: np.ndarray, fold: np.ndarray, penalty: float
) -> float:
    """Gain over uniform choice, every training test judged by a model that did not see it."""
    sums = np.zeros(2)
    for number in range(FOLDS):
        left, kept = within[fold == number], within[fold != number]
        mine, even = earned(archive, left, _ridge(archive, kept, left, penalty))
        sums += mine.sum(), even.sum()
    return float(sums[0] / sums[1] - 1)


def _ridge(archive: Archive, train: np.ndarray, judged: np.ndarray, penalty: float) -> np.ndarray:
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    text = archive.rows["headline"].to_numpy()
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    seen = hstack([v.fit_transform(text[train]) for v in (words, characters)]).tocsr()
    asked = hstack([v.transform(text[judged]) for v in (words, characters)]).tocsr()
    return Ridge(alpha=penalty).fit(seen, _deviation(archive, train)).predict(asked)


def _deviation(archive: Archive, index: np.ndarray) -> np.ndarray:
    bags = archive.bags.take(index)
    rate = np.log((bags.clicks + 0.5) / bags.impressions)
    _, codes = np.unique(bags.product_id.astype(str), return_inverse=True)
    return rate - (np.bincount(codes, rate) / np.bincount(codes))[codes]


def earned(
    archive: Archive, judged: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clicks per test, at its impressions, by the best score and by uniform choice."""
    bags = archive.bags.take(judged)
    _, codes = np.unique(bags.product_id.astype(str), return_inverse=True)
    best = np.full(codes.max() + 1, -np.inf)
    np.maximum.at(best, codes, score)
    chosen = (score >= best[codes] - 1e-12).astype(float)
    chosen /= np.bincount(codes, chosen)[codes]
    rate = bags.clicks / np.maximum(bags.impressions, 1)
    shown = np.bincount(codes, bags.impressions)
    even = np.bincount(codes, rate) / np.bincount(codes)
    return np.bincount(codes, chosen * rate) * shown, even * shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED)
    asked = parser.parse_args()
    if not asked.data.is_file():
        sys.exit(f"{asked.data} is not there; say DATA=the archive's CSV or Parquet")
    archive = read(asked.data)
    train = np.flatnonzero(archive.place < LATER)
    ways: dict[str, Callable[..., np.ndarray]] = {"TF-IDF with ridge": ridge, "reward model": ours}
    later = np.flatnonzero(archive.place >= LATER)
    scores = {name: way(archive, train, later) for name, way in ways.items()}
    for title, kept in (
        ("later tests that vary the headline", archive.varied[later]),
        ("all later tests", np.ones(len(later), bool)),
    ):
        _print(title, archive, later[kept], {n: s[kept] for n, s in scores.items()})


def _print(title: str, archive: Archive, judged: np.ndarray, scores: dict[str, np.ndarray]) -> None:
    values = {name: earned(archive, judged, score) for name, score in scores.items()}
    tests = len(next(iter(values.values()))[0])
    rng = np.random.default_rng(0)
    drawn = rng.integers(tests, size=(DRAWS, tests))
    print(f"{title}: {tests} tests, clicks gained over uniform choice")
    gains = {}
    for name, (mine, even) in values.items():
        gains[name] = mine[drawn].sum(1) / even[drawn].sum(1) - 1
        low, high = np.quantile(gains[name], [0.025, 0.975])
        print(f"  {name:<20} {mine.sum() / even.sum() - 1:+7.2%}  ({low:+.2%} to {high:+.2%})")
    first, second = gains.values()
    low, high = np.quantile(second - first, [0.025, 0.975])
    print(
        f"  {'the second less the first':<20} {np.mean(second - first):+7.2%}  ({low:+.2%} to {high:+.2%})"
    )


if __name__ == "__main__":
    main()
