"""One piece of benchmarks/data/features.py, in this process: what is measured there."""

import argparse
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from components.adapters.feature_store import SERVICE, FeatureDoor
from components.adapters.storage import open_storage
from components.materialize_features.history import ELEMENT_FEATURES, element_key
from components.materialize_features.latest import Interval
from components.materialize_features.online import Online, materialize
from components.materialize_features.stage import join_features
from components.materialize_features.training import Split, keys_to_join, write_training_set
from components.sql import quarter

DAYS = 28
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
MEMORY = quarter("2GB")  # of each DuckDB at work, as ingest.memory has it by default
ELEMENTS_A_SLOT = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=list(WORK))
    parser.add_argument("folder", type=Path)
    for name in ("bags", "rows", "slots", "keys"):
        parser.add_argument(f"--{name}", type=int, default=1)
    asked = parser.parse_args()
    asked.folder.mkdir(exist_ok=True, parents=True)
    import feast  # noqa: F401  some seconds, which are nobody's work

    began, busy = time.perf_counter(), time.process_time()
    WORK[asked.what](asked)
    print(time.perf_counter() - began, time.process_time() - busy)


def connect() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute(f"SET memory_limit = '{MEMORY}'; SET TimeZone = 'UTC'")
    return database


def make_join(asked: argparse.Namespace) -> None:
    """bags.parquet and element_history.parquet: products of 16 elements a slot, uniform shows."""
    elements = -(-asked.rows // DAYS)
    products = max(1, elements // (ELEMENTS_A_SLOT * asked.slots))
    values = ", ".join(f"random()::FLOAT AS {name}" for name in ELEMENT_FEATURES)
    shown = ", ".join(
        f"{{'slot': 's{slot}', 'element': 'e' || (random() * {ELEMENTS_A_SLOT - 1})::INT}}"
        for slot in range(asked.slots)
    )
    key = element_key("product_id", "slot", "element")
    first = f"DATE '{FIRST:%Y-%m-%d}'"
    with connect() as database:
        database.execute("SELECT setseed(0.5)")
        database.execute(
            f"""
            COPY (SELECT 'b' || i AS bag_id, 'p' || (random() * {products - 1})::INT AS product_id,
                  [{shown}] AS creative,
                  CAST({first} + (i % {DAYS})::INT AS VARCHAR) AS ds,
                  CAST({first} + (i % {DAYS})::INT AS TIMESTAMP)
                      + to_seconds((random() * 86000)::INT) AS shown_at,
                  1 AS impressions, (random() < 0.02)::INT AS clicks
                  FROM range({asked.bags}) t(i)) TO '{asked.folder}/bags.parquet'
            """
        )
        database.execute(
            f"""
            COPY (SELECT {key} AS element_key, {values},
                  CAST({first} + d::INT AS TIMESTAMPTZ) AS event_timestamp,
                  CAST({first} + d::INT AS TIMESTAMPTZ) AS created_timestamp
                  FROM (SELECT 'p' || p AS product_id, 's' || s AS slot, 'e' || e AS element, d
                        FROM range({DAYS}) t(d), range({products}) u(p), range({asked.slots}) v(s),
                             range({ELEMENTS_A_SLOT}) w(e)))
            TO '{asked.folder}/element_history.parquet'
            """
        )


def ours_join(asked: argparse.Namespace) -> None:
    """As materialize_features does it."""
    door = FeatureDoor(asked.folder, "bench", memory=MEMORY)
    door.apply()
    with duckdb.connect(str(asked.folder / "work.duckdb")) as database:
        database.execute(f"SET memory_limit = '{MEMORY}'; SET TimeZone = 'UTC'")
        database.execute(f"CREATE VIEW bags AS FROM '{asked.folder}/bags.parquet'")
        join_features(database, door, "history", keys_to_join(database))
        slots = tuple(f"s{slot}" for slot in range(asked.slots))
        write_training_set(database, slots, Split("false", ""), asked.folder / "ours.parquet")


def feast_join(asked: argparse.Namespace) -> None:
    """Feast alone: a retrieval a slot with a row a bag, its answer written as Parquet."""
    door = FeatureDoor(asked.folder, "bench")
    door.apply()
    service = door._store.get_feature_service(SERVICE)
    for slot in range(asked.slots):
        with connect() as database:
            key = element_key("product_id", f"'s{slot}'", f"creative[{slot + 1}].element")
            rows = database.execute(
                f"SELECT bag_id, {key} AS element_key, CAST(ds AS TIMESTAMPTZ) AS event_timestamp "
                f"FROM '{asked.folder}/bags.parquet'"
            ).to_arrow_table()
        job = door._store.get_historical_features(
            entity_df=rows.to_pandas(), features=service, filter_by_created_timestamp=True
        )
        pq.write_table(job.to_arrow(), asked.folder / f"feast-s{slot}.parquet", compression="zstd")


def compare(asked: argparse.Namespace) -> None:
    """How many of Feast's answers our training set has, value by value."""
    same = " AND ".join(
        f"o.history[{{slot}} + 1][{n + 1}] IS NOT DISTINCT FROM f.{name}"
        for n, name in enumerate(ELEMENT_FEATURES)
    )
    equal, rows = 0, 0
    with connect() as database:
        for slot in range(asked.slots):
            found = database.execute(
                f"SELECT count(*) FILTER ({same.format(slot=slot)}), count(*) "
                f"FROM '{asked.folder}/ours.parquet' o "
                f"JOIN '{asked.folder}/feast-s{slot}.parquet' f USING (bag_id)"
            ).fetchone()
            assert found is not None
            equal, rows = equal + found[0], rows + found[1]
    print(f"{equal:,} of {rows:,} bags and slots have the same features")


def make_online(asked: argparse.Namespace) -> None:
    """element_history.parquet with two rows a key."""
    values = ", ".join(f"random()::FLOAT AS {name}" for name in ELEMENT_FEATURES)
    with connect() as database:
        database.execute(
            f"""
            COPY (SELECT 'product' || (k // 64) || chr(31) || 'slot' || chr(31) || k AS element_key,
                  {values}, TIMESTAMPTZ '{FIRST.isoformat()}' + to_days(d::INT) AS event_timestamp,
                  TIMESTAMPTZ '{FIRST.isoformat()}' + to_days(d::INT) AS created_timestamp
                  FROM range(2) t(d), range({asked.keys}) u(k))
            TO '{asked.folder}/element_history.parquet'
            """
        )


def ours_online(asked: argparse.Namespace) -> None:
    place = asked.folder / "ours"
    door = _opened(asked.folder, place)
    online = Online(door, open_storage(str(place / "store")), place)
    materialize(online, "element_history", Interval(FIRST - timedelta(1), FIRST + timedelta(2)))


def feast_online(asked: argparse.Namespace) -> None:
    door = _opened(asked.folder, asked.folder / "feast")
    door._store.materialize(
        FIRST - timedelta(1), FIRST + timedelta(2), feature_views=["element_history"]
    )


def _opened(folder: Path, place: Path) -> FeatureDoor:
    place.mkdir(exist_ok=True)
    (place / "element_history.parquet").hardlink_to(folder / "element_history.parquet")
    door = FeatureDoor(place, "bench")
    door.apply()
    return door


WORK = {
    "make-join": make_join,
    "ours-join": ours_join,
    "feast-join": feast_join,
    "compare": compare,
    "make-online": make_online,
    "ours-online": ours_online,
    "feast-online": feast_online,
}

if __name__ == "__main__":
    main()
