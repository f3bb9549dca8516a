"""Values that their row could not know are found in the published files, without asking Feast."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.day import Day
from components.evaluate_candidate.feature_facts import feature_facts
from components.materialize_features.history import ELEMENT_FEATURES
from components.materialize_features.stage import Result

DS = "2026-11-03"
KEY = "p\x1ftitle\x1fa"
WIDTH = len(ELEMENT_FEATURES)


def at(day: int) -> datetime:
    return datetime(2026, 11, day, tzinfo=UTC)


def facts(root: Path, second: float | None, known: dict[int, float], age: int = 4) -> dict:
    """Facts where day 2's bag was given `second` and history was `known` at the ends of days."""
    folder = root / "store" / "days" / f"ds={DS}" / "attempt=x" / "materialize_features"
    folder.mkdir(parents=True)
    bag = {"product_id": "p", "impressions": 1, "creative": [{"slot": "title", "element": "a"}]}
    values = None if second is None else [second] * WIDTH
    rows = [
        {**bag, "bag_id": "1", "ds": "2026-11-01", "held_out": False, "history": [[None] * WIDTH]},
        {**bag, "bag_id": "2", "ds": "2026-11-02", "held_out": True, "history": [values]},
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "training_set.parquet")
    history = [
        {
            "element_key": KEY,
            **dict.fromkeys(ELEMENT_FEATURES, value),
            "event_timestamp": at(day),
            "created_timestamp": at(day),
        }
        for day, value in known.items()
    ]
    pq.write_table(pa.Table.from_pylist(history), folder / "element_history.parquet")
    features = Result(
        rows={},
        elements=1,
        split="",
        days=[],
        left_out=[],
        feature_names=[],
        fingerprint="",
        null_share=0,
        parity={"sampled": 3, "equal": 3},
    )
    day = Day(ds=DS, store=str(root / "store"), work=str(root / "work"), attempt="x")
    return feature_facts(day, features, ("title",))


def test_what_was_known_at_the_start_of_the_day_is_not_early(tmp_path: Path) -> None:
    found = facts(tmp_path, 0.5, {2: 0.5, 3: 0.9, 4: 0.1})
    assert (found["checked"], found["early"], found["age_days"]) == (2, 0, 0)
    assert (found["learned_null_rate"], found["judged_null_rate"]) == (1, 0)


@pytest.mark.parametrize("given", [0.9, None])
def test_a_later_value_or_a_lost_one_is_found(tmp_path: Path, given: float | None) -> None:
    assert facts(tmp_path, given, {2: 0.5, 3: 0.9})["early"] == 1


def test_history_that_ends_before_the_day_has_an_age(tmp_path: Path) -> None:
    assert facts(tmp_path, 0.5, {2: 0.5})["age_days"] == 2
