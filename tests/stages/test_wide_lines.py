"""JSON Lines with many context fields: read in bounded memory, every value as it stands."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_day import ingest
from tiny_logs import DS, impression, write_catalog, write_lines

from components.day import attempt_path
from components.ingest_logs.typed_json import context_from_json
from components.sql import quote

DATABASE = duckdb.connect()
FIELDS = {f"c{n:02d}": "categorical" if n < 28 else "number" for n in range(40)}


def test_forty_fields_fit_into_little_memory(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    rows = []
    for number in range(6_000):
        context = {k: f"v{number % 7}" if v == "categorical" else 0.5 for k, v in FIELDS.items()}
        rows.append(impression(number, context=context))
    write_lines(tmp_path, "impressions", DS, rows)
    made = ingest(tmp_path, context=FIELDS, memory="300MB", user_limit=10_000).made[DS]
    with duckdb.connect() as database:
        bags = tmp_path / "store" / attempt_path(DS, made) / "ingest_logs" / "bags-*.parquet"
        found = database.execute(
            f"SELECT count(*), count(context.c00), sum(context.c39) FROM '{bags}'"
        ).fetchone()
    assert found == (6_000, 6_000, 3_000.0)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(['"', "\\", "null", "-1", "{}", "\u0000", "e\u0301", "\U0001f9f5", " "]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


def read(context: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """(fields as typed, whether some has the wrong type) of a context's JSON text."""
    field = context_from_json("j", {"device": "categorical", "hour": "number"}, "''")
    text = quote(json.dumps(context))
    row = DATABASE.execute(
        f"SELECT {field.value}, {field.wrong} FROM (SELECT CAST({text} AS JSON) AS j)"
    ).fetchone()
    assert row is not None
    return row


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES)
def test_a_context_value_is_taken_as_it_stands_or_told_of(device: Any, hour: Any) -> None:
    fields, wrong = read({"device": device, "hour": hour, "other": [1]})
    number = isinstance(hour, int | float) and not isinstance(hour, bool)
    assert fields["device"] == (device if isinstance(device, str) else None)
    assert fields["hour"] == (pytest.approx(float(hour)) if number else None)
    fits = (device is None or isinstance(device, str)) and (hour is None or number)
    assert wrong == (not fits)


def test_an_absent_field_is_null_and_no_object_is_told_of() -> None:
    assert read({}) == ({"device": None, "hour": None}, False)
    assert read([1])[1]  # type: ignore[arg-type]
