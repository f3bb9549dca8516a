"""Fit bags -> Feast's offline and online features, the training set and the elements table."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.adapters.feature_store import FeatureDoor, Offline
from components.day import Day, Frozen, attempt_path, once
from components.errors import Failed, Refused
from components.ingest_logs.inputs import shift
from components.ingest_logs.stage import NAME as INGEST
from components.materialize_features.content import build_content
from components.materialize_features.history import ELEMENT_FEATURES, build_history
from components.materialize_features.latest import Interval
from components.materialize_features.online import Online, materialize
from components.materialize_features.parity import Parity, parity
from components.materialize_features.training import (
    choose_split,
    first_judging_day,
    keys_at,
    keys_to_join,
    write_elements,
    write_training_set,
)
from components.sql import parquet, quarter, quote, within
from components.window import Window, catalog_file, fit_bags, fit_days, read_window

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NAME = "materialize_features"
VIEWS = ("element_history", "product_history", "cell_history", "element_content")
EVER = "1970-01-01"


class Settings(Frozen):
    """Slots in order, how to hold out, the fields of a cell, and Feast's engines and places."""

    project: str
    slots: tuple[str, ...]
    holdout_days: int | None
    holdout_share: float | None
    cells: tuple[str, ...] = ()
    registry: str | None = None
    redis: str | None = None
    offline: Offline = "duckdb"
    memory: str
    text_encoder: str | None = None


class Result(Frozen):
    """Counts of the training set, the feature service, and what was checked of it."""

    rows: dict[str, int]
    elements: int
    split: str
    days: list[str]
    left_out: list[str]
    feature_names: list[str]
    fingerprint: str
    null_share: float
    parity: dict[str, int]
    text: dict[str, Any] | None = None


def run(day: Day, settings: Settings) -> Result:
    """training_set.parquet and elements.parquet lie under the stage's folder."""
    with within(quarter(settings.memory), f"the features of ds={day.ds} and its catalog"):
        return once(day, NAME, Result, lambda: _work(day, settings))


def _work(day: Day, settings: Settings) -> Result:
    import duckdb

    window = read_window(day)
    days = fit_days(day, window)
    if not days:
        raise Refused(
            f"no day of the window of ds={day.ds} is fit to learn from (attempt {day.attempt}); "
            "repair what validate_logs names, and run the day again"
        )
    door = open_door(day, settings)
    with day.scratch("features") as scratch:
        database = duckdb.connect(str(scratch / "features.duckdb"))
        database.execute(f"SET memory_limit = {quote(quarter(settings.memory))}")
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE VIEW bags AS SELECT * FROM {parquet(fit_bags(day, days))}")
        _load_deliveries(database, day, window)
        _load_elements(database, day, window)
        build_history(database, day.ds, settings.cells)
        _write_sources(database, day, door.folder)
        door.apply()
        split = choose_split(database, settings.holdout_days, settings.holdout_share)
        _join(database, door, day.ds, first_judging_day(database, split))
        target = scratch / "training_set.parquet"
        rows = write_training_set(database, settings.slots, split, target)
        day.storage().upload(target, day.path(NAME, "training_set.parquet"))
        target = scratch / "elements.parquet"
        elements = write_elements(database, target)
        text = _embed(day, settings, target)
        day.storage().upload(target, day.path(NAME, "elements.parquet"))
        nulls = _null_share(database)
        database.close()
        compared = _serve(Online(door, day.storage(), scratch), day.ds, min(days))
    return Result(
        rows=rows,
        elements=elements,
        split=split.says,
        days=sorted(days),
        left_out=sorted(set(window.made) - set(days)),
        feature_names=list(ELEMENT_FEATURES),
        fingerprint=door.fingerprint(),
        null_share=nulls,
        parity=compared,
        text=text,
    )


def open_door(day: Day, settings: Settings) -> FeatureDoor:
    """Feast on the day's work folder."""
    return FeatureDoor(
        Path(day.work) / "feast",
        settings.project,
        settings.registry,
        settings.redis,
        settings.offline,
        quarter(settings.memory),
    )


def served_interval(view: str, first: str, last: str) -> Interval:
    """What is served of a view: its values of the days first..last; of content whatever came."""
    start = EVER if view == "element_content" else first
    moments = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (start, shift(last, 1)))
    return Interval(*moments)


def _serve(online: Online, ds: str, first: str) -> dict[str, int]:
    """Writes every view's online values and compares a sample of each with the tables."""
    told: list[Parity] = []
    for view in VIEWS:
        interval = served_interval(view, first, ds)
        materialize(online, view, interval)
        found = parity(online.door, view, online.door.folder / f"{view}.parquet", interval)
        if found.equal != found.sampled:
            raise Failed(
                f"online values of {view} differ from offline ones for "
                f"{found.sampled - found.equal} of {found.sampled} sampled keys; expected "
                "equality: nobody else may write this project's online values; run the day again"
            )
        told.append(found)
    names = ("sampled", "equal", "newer")
    return {name: sum(getattr(one, name) for one in told) for name in names}


def _load_deliveries(database: "duckdb.DuckDBPyConnection", day: Day, window: Window) -> None:
    """Table `deliveries`: the partition of the logs that brought a bag's click."""
    storage = day.storage()
    files = [
        storage.fetch(f"{attempt_path(dt, attempt)}/{INGEST}/events.parquet")
        for dt, attempt in sorted(window.made.items())
    ]
    database.execute(
        f"CREATE TABLE deliveries AS SELECT bag_id, max(CAST(dt AS DATE)) AS delivered "
        f"FROM {parquet(files)} WHERE kind = 'clicks' GROUP BY bag_id"
    )


def _embed(day: Day, settings: Settings, elements: Path) -> dict[str, Any] | None:
    """Fills in embeddings of texts; returns which encoder did it in which slots."""
    if settings.text_encoder is None:
        return None
    import pyarrow.parquet as pq

    from components.adapters.text_encoder import TextEncoder
    from components.materialize_features.embedding import embed_table

    encoder = TextEncoder(settings.text_encoder)
    table, slots = embed_table(pq.read_table(elements), encoder, day.storage())
    pq.write_table(table, elements, compression="zstd")
    return {"name": encoder.name, "fingerprint": encoder.fingerprint, "slots": slots}


def _load_elements(database: "duckdb.DuckDBPyConnection", day: Day, window: Window) -> None:
    """Table `elements`: one row a known element, newest content, `current` if still a candidate."""
    known = catalog_file(day, window, "known")
    latest = catalog_file(day, window, "elements")
    assert known is not None
    assert latest is not None
    build_content(database, known)
    database.execute(
        f"""
        CREATE TABLE elements AS
        SELECT k.* EXCLUDE (dt, newest), (product_id, slot, element_id) IN (
            SELECT (product_id, slot, element_id) FROM {parquet(latest)}) AS current
        FROM (SELECT *, row_number() OVER (PARTITION BY product_id, slot, element_id
              ORDER BY dt DESC) AS newest FROM {parquet(known)}) k
        WHERE newest = 1
        """
    )


def _write_sources(database: "duckdb.DuckDBPyConnection", day: Day, folder: Path) -> None:
    """The views' Parquet files, for Feast here and in the store for whoever reads them there."""
    for table in VIEWS:
        local = folder / f"{table}.parquet"
        draft = folder / f".{table}.parquet"
        database.execute(f"COPY {table} TO {quote(str(draft))} (FORMAT parquet, COMPRESSION zstd)")
        draft.replace(local)
        day.storage().upload(local, day.path(NAME, f"{table}.parquet"))


def _join(database: "duckdb.DuckDBPyConnection", door: FeatureDoor, ds: str, judging: str) -> None:
    """Tables `history` (as known on each bag's day), `latest` (at the end of ds) and `before`
    (at the start of the first day that judges)."""
    for table, keys in (
        ("history", keys_to_join(database)),
        ("latest", keys_at(database, shift(ds, 1))),
        ("before", keys_at(database, judging)),
    ):
        join_features(database, door, table, keys)


def join_features(
    database: "duckdb.DuckDBPyConnection", door: FeatureDoor, table: str, keys: "pa.Table"
) -> None:
    """Creates `table`: the keys with their features as known then, a piece at a time."""
    for number, joined in enumerate(door.histories_at(keys)):
        database.register("joined_features", joined)
        into = f"INSERT INTO {table} BY NAME" if number else f"CREATE TABLE {table} AS"
        database.execute(f"{into} SELECT * FROM joined_features")
        database.unregister("joined_features")


def _null_share(database: "duckdb.DuckDBPyConnection") -> float:
    row = database.execute(
        "SELECT coalesce(avg((weight_28 IS NULL)::INT), 1) FROM history"
    ).fetchone()
    return round(float(row[0]), 6) if row else 1.0
