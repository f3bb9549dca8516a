"""No feature of a row knows anything later than the start of its day; Feast serves what we wrote."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tiny_day import TinyDay, judge
from tiny_logs import DS, SLOTS, click, impression, write_catalog, write_lines

from components.adapters.feature_declarations import declarations
from components.adapters.feature_store import FeatureDoor
from components.materialize_features import stage as materialize_features
from components.materialize_features.content import CONTENT_FEATURES
from components.materialize_features.history import (
    CELL_FEATURES,
    ELEMENT_FEATURES,
    PRODUCT_FEATURES,
    build_history,
)

FIRST = date(2026, 3, 1)
BAGS = pa.schema(
    [
        ("bag_id", pa.string()),
        ("product_id", pa.string()),
        ("context", pa.struct([("device", pa.string())])),
        ("creative", pa.list_(pa.struct([("slot", pa.string()), ("element", pa.string())]))),
        ("ds", pa.string()),
        ("clicked_at", pa.timestamp("us")),
        ("impressions", pa.int64()),
        ("clicks", pa.int64()),
    ]
)
# day, product, title, displays, days to its click, days from there to the click's delivery
Bag = tuple[int, str, str, int, int | None, int]
TABLES = {
    "element_history": (("product_id", "slot", "element"), ELEMENT_FEATURES),
    "product_history": (("product_id",), PRODUCT_FEATURES),
    "cell_history": (("cell_key",), CELL_FEATURES),
}
VIEWS = {name: features for name, (_, features) in TABLES.items()} | {
    "element_content": CONTENT_FEATURES
}


def bags_of(rows: list[Bag]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "bag_id": str(number),
                "product_id": product,
                "context": {"device": title},
                "creative": [
                    {"slot": "title", "element": title},
                    {"slot": "image", "element": "m"},
                ],
                "ds": (FIRST + timedelta(day)).isoformat(),
                "clicked_at": None
                if lag is None
                else datetime.combine(FIRST + timedelta(day + lag), time(9)),
                "impressions": shown,
                "clicks": 0 if lag is None else 1,
            }
            for number, (day, product, title, shown, lag, _) in enumerate(rows)
        ],
        BAGS,
    )


def deliveries_of(rows: list[Bag]) -> pa.Table:
    came = {
        str(number): FIRST + timedelta(day + lag + late)
        for number, (day, _, _, _, lag, late) in enumerate(rows)
        if lag is not None
    }
    return pa.table(
        {
            "bag_id": pa.array(list(came), pa.string()),
            "delivered": pa.array(list(came.values()), pa.date32()),
        }
    )


Versions = dict[tuple[Any, ...], tuple[Any, ...]]


def history(rows: list[Bag], table: str, known: int) -> Versions:
    """(entity, day's end, day created) -> features, of what was known at the start of a day."""
    keys, names = TABLES[table]
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("bags", bags_of(rows))
        database.register("deliveries", deliveries_of(rows))
        build_history(database, (FIRST + timedelta(9)).isoformat(), ("device",))
        until = (FIRST + timedelta(known)).isoformat()
        times = ("event_timestamp::DATE", "created_timestamp::DATE")
        found = database.execute(
            f"SELECT {', '.join((*keys, *times, *names))} FROM {table} "
            f"WHERE created_timestamp <= TIMESTAMPTZ '{until}'"
        ).fetchall()
    return {row[: len(keys) + 2]: row[len(keys) + 2 :] for row in found}


def bag(first: int, last: int) -> st.SearchStrategy[Bag]:
    lag = st.one_of(st.none(), st.integers(0, 3))
    names = (st.sampled_from("pq"), st.sampled_from("abc"))
    return st.tuples(
        st.integers(first, last), *names, st.integers(1, 30), lag, st.sampled_from([0, 0, 1, 2])
    )


def as_known(bags: list[Bag], at: int) -> list[Bag]:
    """The bags as they stood at the start of day `at`: a click that came later is not there."""
    return [
        (day, p, t, n, lag if lag is not None and day + lag + late < at else None, late)
        for day, p, t, n, lag, late in bags
        if day < at
    ]


EVERY: list[Bag] = [(day, "r", "a", 1, None, 0) for day in range(10)]  # no day without a row


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking a failure would take minutes
)
@given(early=st.lists(bag(0, 5), min_size=1, max_size=12), later=st.lists(bag(6, 9), max_size=8))
@example(early=[(2, "p", "a", 9, 0, 2), (2, "p", "a", 9, 0, 5)], later=[])  # one came, one did not
@pytest.mark.parametrize("table", list(TABLES))
def test_what_happens_or_comes_later_changes_no_row_known_before(table, early, later) -> None:
    before = history(EVERY + as_known(early, 6), table, 6)
    after = history(EVERY + early + later, table, 6)
    assert before.keys() == after.keys()
    assert len(before) > 5
    for key, values in before.items():
        assert values == pytest.approx(after[key], abs=1e-6), key


def test_a_display_changes_the_features_of_later_days_and_not_of_its_own() -> None:
    every = [(day, "p", "a", 1, None, 0) for day in range(7)]
    without = history(every, "element_history", 5)
    with_it = history([*every, (2, "p", "a", 40, 0, 0)], "element_history", 5)
    changed = {key[-1].day for key in without if without[key] != with_it[key]}
    assert changed == {4, 5, 6}


@pytest.mark.parametrize("table", list(TABLES))
def test_a_late_delivery_is_a_second_row_created_when_it_came(table) -> None:
    """A click of day 2 that day 4's logs bring: known from day 5 on, and a correction before."""
    ends = {(FIRST + timedelta(day)): day for day in range(11)}
    late = history([*EVERY, (2, "r", "a", 40, 0, 2)], table, 10)
    never = history([*EVERY, (2, "r", "a", 40, None, 0)], table, 10)
    entity = ("r",) if table == "product_history" else ("device=a",)
    if table == "element_history":
        entity = ("r", "title", "a")
    own = [(ends[key[-2]], ends[key[-1]]) for key in late if key[:-2] == entity]
    assert [pair for pair in own if pair[0] != pair[1]] == [(3, 5), (4, 5)]
    for key in (key for key in never if key[:-2] == entity):
        same = late[key] == never[key]
        assert same == (ends[key[-2]] < 5), key
    corrected = (*entity, FIRST + timedelta(3), FIRST + timedelta(5))
    assert late[corrected] != never[(*entity, FIRST + timedelta(3), FIRST + timedelta(3))]


# ---- through Feast


def features(day: TinyDay) -> materialize_features.Result:
    wanted = materialize_features.Settings(
        project="tiny", slots=SLOTS, holdout_days=1, holdout_share=None, memory="500MB"
    )
    return materialize_features.run(day.arrived.day, wanted)


def table(day: TinyDay, name: str) -> list[dict[str, Any]]:
    place = day.arrived.day.path(materialize_features.NAME, f"{name}.parquet")
    return pq.ParquetFile(day.root / "store" / place).read().to_pylist()


DAYS = ("2026-03-08", "2026-03-09", DS)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[TinyDay, Any]]:
    """Two days, then the third beside them with a late click, each taken through Feast."""
    root = tmp_path_factory.mktemp("served")
    write_catalog(root, DAYS[0])
    told = {}
    for ds in DAYS[1:]:
        for written in DAYS[: DAYS.index(ds) + 1]:
            write_lines(root, "impressions", written, [impression(n, written) for n in range(12)])
            write_lines(root, "clicks", written, [click(n, written) for n in (1, 4)])
        if ds == DS:
            late = click(2, DAYS[1], clicked_at=f"{DS}T00:30:00Z")
            write_lines(
                root,
                "impressions",
                DAYS[1],
                [impression(2, DAYS[1], impression_id="eve", shown_at=f"{DAYS[1]}T23:50:00Z")],
                "eve",
            )
            write_lines(root, "clicks", DS, [late | {"impression_id": "eve"}], "late")
        judged = judge(root, ds)
        told[ds] = (judged, features(judged))
    return told


def test_what_is_registered_is_what_feature_repo_declares(tmp_path: Path) -> None:
    door = FeatureDoor(tmp_path, "declared")
    door.apply()
    declared = {type(one).__name__: {} for one in declarations()}
    for one in declarations():
        declared[type(one).__name__][one.name] = one
    store = door._store
    views = {view.name: view for view in store.list_feature_views()}
    assert views.keys() == declared["FeatureView"].keys() == {*VIEWS, "served_policy"}
    for name, view in views.items():
        wanted = declared["FeatureView"][name]
        assert {f.name: f.dtype for f in view.features} == {
            f.name: f.dtype for f in wanted.features
        }
        assert (view.ttl, view.entities, view.online) == (wanted.ttl, wanted.entities, True)
    services = {
        one.name: [p.name for p in one.feature_view_projections]
        for one in store.list_feature_services()
    }
    assert services == {
        name: [p.name for p in one.feature_view_projections]
        for name, one in declared["FeatureService"].items()
    }
    assert {one.name for one in store.list_entities() if not one.name.startswith("__")} == set(
        declared["Entity"]
    )


def test_the_views_declare_the_columns_that_are_written(served) -> None:
    views = {
        view.name: {f.name for f in view.features}
        for view in declarations()
        if type(view).__name__ == "FeatureView"
    }
    assert views.pop("served_policy") == {
        "creatives",
        "probabilities",
        "predicted_rewards",
        "version",
    }
    assert views == {name: set(features) for name, features in VIEWS.items()}
    day, _ = served[DS]
    for name, wanted in views.items():
        assert wanted < set(table(day, name)[0])


def test_online_values_equal_offline_ones(served) -> None:
    for _, told in served.values():
        assert told.parity["sampled"] == told.parity["equal"] > 5


def test_a_row_of_the_training_set_has_the_features_of_its_days_start(served) -> None:
    day, told = served[DS]
    assert told.feature_names == list(ELEMENT_FEATURES)
    known = {
        (
            row["event_timestamp"].date().isoformat(),
            row["product_id"],
            row["slot"],
            row["element"],
        ): row
        for row in table(day, "element_history")
    }
    seen = 0
    for row in table(day, "training_set"):
        shown = {one["slot"]: one["element"] for one in row["creative"]}
        for slot, values in zip(SLOTS, row["history"], strict=True):
            written = known.get((row["ds"], row["product_id"], slot, shown[slot]))
            if row["ds"] == DAYS[0]:
                assert values is None or all(value is None for value in values)
            else:
                assert written is not None
                seen += 1
                assert values == pytest.approx([written[name] for name in ELEMENT_FEATURES])
    assert seen == 2 * (12 + 12 + 1)


def test_a_day_that_comes_later_changes_no_feature_of_the_days_before(served) -> None:
    (early, _), (late, _) = served[DAYS[1]], served[DS]
    before = {row["bag_id"]: row["history"] for row in table(early, "training_set")}
    after = {row["bag_id"]: row["history"] for row in table(late, "training_set")}
    assert len(before) == 24
    assert {bag_id: after[bag_id] for bag_id in before} == before


def test_the_latest_days_judge_and_nothing_else_does(served) -> None:
    day, told = served[DS]
    held_out = {row["ds"] for row in table(day, "training_set") if row["held_out"]}
    learned = {row["ds"] for row in table(day, "training_set") if not row["held_out"]}
    assert (held_out, learned) == ({DS}, set(DAYS[:2]))
    assert told.rows["held_out"] == 12
