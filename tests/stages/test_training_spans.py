"""The training set does not depend on how many days are joined with their features at a time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.materialize_features import training
from components.materialize_features.history import ELEMENT_FEATURES
from components.materialize_features.training import Split, keys_to_join, write_training_set

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
SLOTS = ("title", "image")
# a product whose name holds another slot's place in a key, and one that looks like a key
PRODUCTS = ("p0", "a\x1fimage\x1fb", "p\x1ftitle\x1ft0")


def shown(chance, number: int) -> dict[str, object]:
    """A bag of one of five days, with one slot or both."""
    day = FIRST + timedelta(days=chance.randrange(5))
    slots = SLOTS if chance.random() < 0.7 else SLOTS[:1]
    return {
        "bag_id": f"b{number}",
        "ds": f"{day:%Y-%m-%d}",
        "shown_at": day.replace(tzinfo=None) + timedelta(seconds=chance.randrange(3)),
        "product_id": chance.choice(PRODUCTS),
        "creative": [{"slot": s, "element": f"{s[0]}{chance.randrange(3)}"} for s in slots],
        "impressions": 1,
        "clicks": chance.randrange(2),
    }


def written(bags: list[dict[str, object]], folder: Path) -> Path:
    """The training set of these bags; every feature tells its key and day, some are unknown."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("given", pa.Table.from_pylist(bags))
        database.execute("CREATE TABLE bags AS FROM given")
        keys = keys_to_join(database)
        database.register("keys", keys)
        told = "CASE WHEN hash(element_key) % 4 > 0 THEN hash(element_key, event_timestamp) END"
        values = ", ".join(f"CAST({told} AS FLOAT) AS {name}" for name in ELEMENT_FEATURES)
        database.execute(f"CREATE TABLE history AS SELECT *, {values} FROM keys")
        target = folder / "training_set.parquet"
        rows = write_training_set(database, SLOTS, Split("ds >= '2026-03-04'", ""), target)
    assert rows["bags"] == len(bags) == pq.read_metadata(target).num_rows
    assert [file.name for file in folder.iterdir()] == [target.name], "nothing else is left"
    return target


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.randoms(use_true_random=False))
def test_the_training_set_is_the_same_bytes_however_many_keys_are_joined_at_once(
    tmp_path_factory, count: int, at_once: int, chance
) -> None:
    bags = [shown(chance, number) for number in range(count)]
    whole = written(bags, tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "KEYS_AT_ONCE", at_once)
        cut = written(bags, tmp_path_factory.mktemp("cut"))
    assert cut.read_bytes() == whole.read_bytes()


def test_each_slot_gets_the_features_of_its_own_element_and_day(tmp_path: Path) -> None:
    import random

    bags = [shown(random.Random(3), number) for number in range(200)]
    read = pq.read_table(written(bags, tmp_path)).to_pylist()
    with duckdb.connect() as database:
        for row in read:
            by_slot = {one["slot"]: one["element"] for one in row["creative"]}
            for slot, found in zip(SLOTS, row["history"], strict=True):
                key = "\x1f".join((row["product_id"], slot, by_slot.get(slot, "")))
                expected = database.execute(
                    "SELECT CASE WHEN hash($1) % 4 > 0 THEN CAST(hash($1, CAST($2 AS TIMESTAMPTZ)) "
                    "AS FLOAT) END",
                    [key, datetime.fromisoformat(row["ds"]).replace(tzinfo=UTC)],
                ).fetchone()
                if slot not in by_slot:
                    assert found is None
                else:
                    assert found == [expected[0]] * len(ELEMENT_FEATURES)
