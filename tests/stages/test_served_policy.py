"""What an ad server reads of a champion is its published table, and nothing of an older one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_ports import free_port

from components.adapters.feature_store import FeatureDoor
from components.adapters.storage import Storage, open_storage
from components.errors import Failed
from components.materialize_features.history import cell_key, cell_text
from components.publish_policy.online import Champion, push_policy

NOW = datetime(2026, 3, 11, 3, tzinfo=UTC)


def table(storage: Storage, name: str, products: tuple[str, ...], version: int) -> Champion:
    rows = [
        {
            "product_id": product,
            "context": {"device": device},
            "creative": [{"slot": "title", "element": f"t{n}"}, {"slot": "image", "element": "m"}],
            "probability": 0.75 - n / 2,
            "predicted_reward": 0.1 * version,
            "version": version,
        }
        for product in products
        for device in ("phone", None)
        for n in (0, 1)
    ]
    target = Path(storage.root) / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), target)
    return Champion(f"{name}.parquet", "2026-03-10", version)


def served(door: FeatureDoor, *products: str, device: str = "phone") -> list[dict[str, Any]]:
    keys = {"product_id": products, "cell_key": [f"device={device}"] * len(products)}
    return door.online(keys, "served").to_pylist()


@pytest.fixture
def place(tmp_path: Path) -> tuple[FeatureDoor, Storage]:
    return FeatureDoor(tmp_path / "feast", "served"), open_storage(str(tmp_path / "store"))


def test_a_key_holds_its_top_combinations_with_their_probabilities(place) -> None:
    door, storage = place
    assert push_policy(door, storage, table(storage, "one", ("p", "q"), 1), NOW) == 4
    (found,) = served(door, "q")
    assert [json.loads(one) for one in found["creatives"]] == [
        {"image": "m", "title": "t0"},
        {"image": "m", "title": "t1"},
    ]
    assert (found["probabilities"], found["version"]) == ([0.75, 0.25], 1)
    assert found["creatives__ts"] == int(NOW.timestamp())
    assert served(door, "p", device="")[0]["version"] == 1  # a cell whose device is unknown
    assert served(door, "stranger")[0]["creatives"] is None


def test_a_new_champion_leaves_nothing_of_the_old_one(place) -> None:
    door, storage = place
    push_policy(door, storage, table(storage, "one", ("p", "q"), 1), NOW)
    later = NOW + timedelta(hours=1)
    assert push_policy(door, storage, table(storage, "two", ("q", "r"), 2), later) == 4
    assert [(row["version"], len(row["creatives"])) for row in served(door, "p", "q", "r")] == [
        (2, 0),
        (2, 2),
        (2, 2),
    ]


def test_an_older_day_of_the_same_champion_is_left_out_and_a_rollback_is_not(place) -> None:
    door, storage = place
    new = table(storage, "new", ("p",), 2)
    push_policy(door, storage, new, NOW)
    old = replace(table(storage, "old", ("q",), 2), ds="2026-03-01")
    assert push_policy(door, storage, old, NOW) == 0
    back = replace(table(storage, "back", ("p",), 1), ds="2026-03-01")
    assert push_policy(door, storage, back, NOW + timedelta(seconds=1)) == 2
    assert served(door, "p")[0]["version"] == 1


def test_a_server_that_is_down_is_named_with_what_to_do_and_without_its_secret(tmp_path) -> None:
    port = free_port("redis")
    door = FeatureDoor(tmp_path / "feast", "down", redis=f"127.0.0.1:{port},password=hush")
    storage = open_storage(str(tmp_path / "store"))
    with pytest.raises(Failed, match=rf"Redis 127\.0\.0\.1:{port} cannot be read") as told:
        push_policy(door, storage, table(storage, "one", ("p",), 1), NOW)
    assert "hush" not in str(told.value)
    assert not (tmp_path / "store" / "features").exists()  # the ledger says nothing was served
    registry = f"postgresql+psycopg://feast:hush@127.0.0.1:{port}/feast"
    with pytest.raises(Failed, match="Feast's registry at postgresql") as told:
        FeatureDoor(tmp_path / "feast", "down", registry=registry).apply()
    assert "hush" not in str(told.value)


@given(
    st.dictionaries(
        st.sampled_from(["device", "hour", "place"]), st.sampled_from(["a", "b=c", "", None, "é"])
    )
)
def test_python_and_sql_name_a_cell_alike(context: dict[str, str | None]) -> None:
    struct = pa.struct([(name, pa.string()) for name in context] or [("x", pa.string())])
    with duckdb.connect() as database:
        database.register("bags", pa.table({"context": pa.array([context], struct)}))
        (found,) = database.execute(f"SELECT {cell_key(tuple(context))} FROM bags").fetchall()
    assert found[0] == cell_text(context)
