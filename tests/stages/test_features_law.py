"""Feast's join: no row with an event or created time after a training row changes its features."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from components.adapters.feature_store import FeatureDoor
from components.materialize_features.content import CONTENT_FEATURES
from components.materialize_features.history import (
    CELL_FEATURES,
    ELEMENT_FEATURES,
    PRODUCT_FEATURES,
)

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
VIEWS = {
    "element_history": ("element_key", ELEMENT_FEATURES),
    "product_history": ("product_id", PRODUCT_FEATURES),
    "cell_history": ("cell_key", CELL_FEATURES),
    "element_content": ("element_key", CONTENT_FEATURES),
}
SERVICE = "serving_features"  # has all of them
Row = tuple[str, float, float, float]  # element, hours to its event, hours more to created, value


def _at(hours: float) -> datetime:
    return FIRST + timedelta(hours=hours)


def _write(folder: Path, rows: list[Row]) -> None:
    """Every view's file, with the same rows in each."""
    for name, (key, features) in VIEWS.items():
        columns = {key: pa.array([row[0] for row in rows], pa.string())}
        columns |= {f: pa.array([row[3] for row in rows], pa.float32()) for f in features}
        columns["event_timestamp"] = pa.array([_at(row[1]) for row in rows], INSTANT)
        columns["created_timestamp"] = pa.array([_at(row[1] + row[2]) for row in rows], INSTANT)
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureDoor, Path]:
    folder = tmp_path_factory.mktemp("law")
    _write(folder, [("a", 0.0, 0.0, 0.0)])
    made = FeatureDoor(folder, "law")
    made.apply()
    return made, folder


def _known(
    door: tuple[FeatureDoor, Path], rows: list[Row], asked: list[tuple[str, float]]
) -> dict[tuple[str, datetime], tuple[float | None, ...]]:
    """(entity, instant) -> a feature of each view as known then."""
    store, folder = door
    _write(folder, rows)
    names = pa.array([key for key, _ in asked], pa.string())
    keys = {
        **{key: names for key, _ in VIEWS.values()},
        "event_timestamp": pa.array([_at(hours) for _, hours in asked], INSTANT),
    }
    return {
        (row["element_key"], row["event_timestamp"]): tuple(
            row[features[0]] for _, features in VIEWS.values()
        )
        for row in store.history_at(pa.table(keys), SERVICE).to_pylist()
    }


_KEYS = st.sampled_from("ab")
_VALUES = st.integers(-1000, 1000).map(float)
_ROWS = st.lists(
    st.tuples(_KEYS, st.integers(0, 240), st.integers(0, 48), _VALUES),
    min_size=1,
    max_size=12,
    unique_by=lambda row: (row[0], row[1], row[2]),
)


@settings(max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(
    rows=_ROWS,
    asked=st.lists(st.tuples(_KEYS, st.integers(1, 239)), min_size=1, max_size=6, unique=True),
    later=_ROWS,
)
def test_rows_that_happened_or_were_written_later_change_no_feature(
    door, rows: list[Row], asked: list[tuple[str, float]], later: list[Row]
) -> None:
    last = max(hours for _, hours in asked)
    event_after = [(key, last + 1 + event, more, v) for key, event, more, v in later]
    written_after = [
        (key, event % last, last - event % last + 1 + more, v) for key, event, more, v in later
    ]
    before = _known(door, rows, asked)
    assert len(before) == len(asked)
    assert _known(door, rows + event_after, asked) == before
    assert _known(door, rows + written_after, asked) == before


def test_the_newest_value_that_was_written_in_time_is_the_one_known(door) -> None:
    rows = [("a", 1, 0, 1.0), ("a", 5, 0, 5.0), ("a", 6, 30, 6.0), ("a", 20, 0, 20.0)]
    found = _known(door, rows, [("a", 10), ("a", 40), ("b", 10)])
    assert found == {
        ("a", _at(10)): (5.0,) * len(VIEWS),
        ("a", _at(40)): (20.0,) * len(VIEWS),
        ("b", _at(10)): (None,) * len(VIEWS),
    }


def test_a_history_is_forgotten_after_its_time_and_what_an_element_is_never(door) -> None:
    found = _known(door, [("a", 0, 0, 1.0)], [("a", 29 * 24), ("a", 29 * 24 + 1)])
    assert found == {
        ("a", _at(29 * 24)): (1.0, 1.0, 1.0, 1.0),
        ("a", _at(29 * 24 + 1)): (None, None, None, 1.0),
    }
