"""The archive's own CSV, or the prepared Parquet, as one table of arms."""

import math
from pathlib import Path
from statistics import NormalDist

import pandas as pd

FAULTY = ("2013-06-25", "2014-01-10")  # tests started in between: faulty randomisation
SPLIT_LEVEL = 0.001  # tests whose equal split fails at this level are left out
COLUMNS = ("test_id", "created_at", "headline", "image_id", "impressions", "clicks")
_CSV = {"clickability_test_id": "test_id", "eyecatcher_id": "image_id"}


def read_archive(source: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """(arms, counts of what was left out): one row an arm, with COLUMNS.

    Raises ValueError where a column is missing.
    """
    if source.suffix == ".parquet":
        arms = pd.read_parquet(source)
    else:
        arms = pd.read_csv(source, dtype={"eyecatcher_id": str, "clickability_test_id": str})
        arms = arms.rename(columns=_CSV)
        arms["created_at"] = _utc(arms["created_at"])
        first = arms.groupby("test_id")["created_at"].transform("min")
        arms["created_at"] = first
    missing = [column for column in COLUMNS if column not in arms.columns]
    if missing:
        raise ValueError(
            f"{source} has no column {', '.join(missing)} (found {', '.join(arms.columns)}); "
            "expected the archive's CSV or the prepared Parquet"
        )
    arms = arms[list(COLUMNS)].copy()
    arms["created_at"] = _utc(arms["created_at"])
    return _left_out(arms) if source.suffix != ".parquet" else (arms, {})


def _utc(texts: pd.Series) -> pd.Series:
    """UTC timestamps without a zone; the archive leaves out a fraction of 0 seconds."""
    return pd.to_datetime(texts, utc=True, format="ISO8601").dt.tz_localize(None)


def _left_out(arms: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Without the tests that the archive's authors warn of, and how many those were."""
    day = arms["created_at"].dt.strftime("%Y-%m-%d")
    faulty = set(arms.loc[(day >= FAULTY[0]) & (day <= FAULTY[1]), "test_id"])
    rest = arms[~arms["test_id"].isin(faulty)]
    shares = rest.groupby("test_id")["impressions"].apply(lambda n: split_p_value(n.to_numpy()))
    uneven = set(shares.index[shares < SPLIT_LEVEL])
    kept = rest[~rest["test_id"].isin(uneven)]
    return kept, {"tests of the faulty months": len(faulty), "tests split unevenly": len(uneven)}


def split_p_value(impressions) -> float:
    """p-value of "all arms had the same chance", by a chi-squared test.

    The chi-squared tail is Wilson and Hilferty's (1931) normal approximation.
    """
    arms, total = len(impressions), float(sum(impressions))
    if arms < 2 or total == 0:
        return 1.0
    expected = total / arms
    statistic = sum((float(n) - expected) ** 2 / expected for n in impressions)
    freedom = arms - 1
    cube = (statistic / freedom) ** (1 / 3)
    z = (cube - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    return 1 - NormalDist().cdf(z)
