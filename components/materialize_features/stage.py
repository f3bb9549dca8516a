"""Fit bags -> Feast's offline and online features, the training set and the elements table."""

import random
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.adapters.feature_store import FeatureDoor
from components.day import Day, Frozen, once
from components.errors import Failed
from components.ingest_logs.inputs import shift
from components.materialize_features.history import ELEMENT_FEATURES, build_history
from components.materialize_features.training import (
    choose_split,
    first_judging_day,
    keys_at,
    keys_to_join,
    write_elements,
    write_training_set,
)
from components.sql import parquet, quote
from components.window import Window, catalog_file, fit_bags, fit_days, read_window

if TYPE_CHECKING:
    import duckdb

NAME = "materialize_features"
PARITY_SAMPLE = 50


class Settings(Frozen):
    """Slots in order, how to hold out, and where Feast keeps its registry and online values."""

    project: str
    slots: tuple[str, ...]
    holdout_days: int | None
    holdout_share: float | None
    registry: str | None = None
    redis: str | None = None
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
    return once(day, NAME, Result, lambda: _work(day, settings))


def _work(day: Day, settings: Settings) -> Result:
    import duckdb

    window = read_window(day)
    days = fit_days(day, window)
    folder = Path(day.work) / "feast"
    door = FeatureDoor(folder, settings.project, settings.registry, settings.redis)
    with day.scratch("features") as scratch:
        database = duckdb.connect(str(scratch / "features.duckdb"))
        database.execute(f"SET memory_limit = {quote(settings.memory)}")
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"CREATE VIEW bags AS SELECT * FROM {parquet(fit_bags(day, days))}")
        _load_elements(database, day, window)
        build_history(database, day.ds)
        _write_sources(database, day, folder)
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
        start = datetime.combine(date.fromisoformat(min(days)), time())
        door.materialize(start, datetime.combine(date.fromisoformat(day.ds), time()) + timedelta(1))
        parity = _parity(database, door)
        nulls = _null_share(database)
        database.close()
    return Result(
        rows=rows,
        elements=elements,
        split=split.says,
        days=sorted(days),
        left_out=sorted(set(window.made) - set(days)),
        feature_names=list(ELEMENT_FEATURES),
        fingerprint=door.fingerprint(),
        null_share=nulls,
        parity=parity,
        text=text,
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
    for table in ("element_history", "product_history"):
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
        joined = door.history_at(keys)
        database.register("joined_features", joined)
        database.execute(f"CREATE TABLE {table} AS SELECT * FROM joined_features")
        database.unregister("joined_features")


def _parity(database: "duckdb.DuckDBPyConnection", door: FeatureDoor) -> dict[str, int]:
    """How many sampled elements have the same values online as offline."""
    names = ", ".join(ELEMENT_FEATURES)
    rows = database.execute(
        f"SELECT element_key, {names} FROM latest WHERE weight_1 IS NOT NULL ORDER BY element_key"
    ).fetchall()
    sample = random.Random(0).sample(rows, min(PARITY_SAMPLE, len(rows)))
    if not sample:
        return {"sampled": 0, "equal": 0}
    online = door.online([row[0] for row in sample]).to_pylist()
    equal = sum(_same(row, served) for row, served in zip(sample, online, strict=True))
    if equal != len(sample):
        raise Failed(
            f"online features differ from offline ones for {len(sample) - equal} of {len(sample)} "
            "sampled elements; expected equality: materialise the window again before training"
        )
    return {"sampled": len(sample), "equal": equal}


def _same(offline: tuple[Any, ...], online: dict[str, Any]) -> bool:
    pairs = zip(ELEMENT_FEATURES, offline[1:], strict=True)
    return all(online[name] is not None and abs(online[name] - v) < 1e-5 for name, v in pairs)


def _null_share(database: "duckdb.DuckDBPyConnection") -> float:
    row = database.execute(
        "SELECT coalesce(avg((weight_28 IS NULL)::INT), 1) FROM history"
    ).fetchone()
    return round(float(row[0]), 6) if row else 1.0
