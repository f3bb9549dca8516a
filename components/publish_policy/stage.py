"""A bundle -> the table that an ad server reads: for each product and cell, what to show how often.

`policy` holds the champion's table and is what serves; `policy_candidate` holds the challenger's,
for people to look at. Probabilities are those that would be logged (CONTRACT 5).
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.adapters.clock import now
from components.adapters.feature_store import FeatureDoor, online_server
from components.adapters.registry import CHAMPION
from components.adapters.signing import is_intact
from components.day import Day, Frozen, manifest_path
from components.errors import Failed
from components.manifests import change_manifest, table_entry
from components.materialize_features.stage import NAME as FEATURES
from components.publish_policy.online import Champion, push_policy
from components.register_version.stage import open_registry
from components.training_set import fetch_folder
from components.window import catalog_file, read_window
from model.bundle import Bundle, load_bundle
from model.combinations import Rules
from model.elements import Elements
from model.serving import Distribution

NAME = "publish_policy"
POLICIES = {"policy", "policy_candidate"}
CELLS_A_PRODUCT = 256  # most frequent cells published; a rarer one is answered by the model itself


class Settings(Frozen):
    """The model's name, MLflow, the cells of context, how many combinations a cell gets, and the
    servers of Feast's registry and online values, if any."""

    name: str
    tracking_uri: str
    cells: tuple[str, ...]
    top: int
    registry: str | None = None
    redis: str | None = None


class Result(Frozen):
    """Rows published of the champion and of the candidate, by table; keys of the champion online."""

    champion: int | None
    rows: dict[str, int]
    manifest: str
    online: int = 0


def run(day: Day, settings: Settings, version: int) -> Result:
    """The day's manifest lists the champion's table, and the candidate's beside it."""
    registry = open_registry(day, settings.name, settings.tracking_uri)
    candidate = registry.get(version)
    if candidate is not None:
        entry = publish(day, settings, candidate.bundle, candidate.number)
        _list(day, {"policy_candidate": [entry]}, None)
    return publish_champion(day, settings)


def publish_champion(day: Day, settings: Settings) -> Result:
    """The day's manifest lists the champion's table, if there is a champion; so does a server of
    online values, where one is configured."""
    champion = open_registry(day, settings.name, settings.tracking_uri).alias(CHAMPION)
    tables: dict[str, list[dict[str, Any]]] = {}
    if champion is not None:
        tables["policy"] = [publish(day, settings, champion.bundle, champion.number)]
    number = champion.number if champion is not None else None
    manifest = _list(day, tables, {"version": number})
    rows = {
        name: manifest["tables"][name][0]["rows"] for name in POLICIES & set(manifest["tables"])
    }
    online = 0
    if champion is not None and online_server(settings.redis) is not None:
        online = _serve(
            day, settings, Champion(tables["policy"][0]["path"], day.ds, champion.number)
        )
    return Result(champion=number, rows=rows, manifest=manifest_path(day.ds), online=online)


def _serve(day: Day, settings: Settings, champion: Champion) -> int:
    """How many keys the server of online values was given."""
    folder = Path(day.work) / "feast"
    try:
        door = FeatureDoor(folder, settings.name, settings.registry, settings.redis)
        return push_policy(door, day.storage(), champion, now())
    except Failed as error:
        raise Failed(
            f"the table of version {champion.version} is published, but not online: {error}; "
            f"genco features materialize --view served_policy --ds {day.ds} puts it there"
        ) from error


def _list(
    day: Day, tables: dict[str, list[dict[str, Any]]], policy: dict[str, Any] | None
) -> dict[str, Any]:
    def change(was: dict[str, Any] | None) -> dict[str, Any]:
        assert was is not None, "a day is published before its policy"
        served = {} if policy is None else {"policy": policy}
        return {**was, **served, "tables": {**was["tables"], **tables}}

    return change_manifest(day.storage(), day.ds, change)


def publish(day: Day, settings: Settings, bundle: str, version: int) -> dict[str, Any]:
    """Writes a version's table for today's catalog; returns its entry for the manifest."""
    with day.scratch("policy") as scratch:
        loaded = load_bundle(fetch_folder(day, bundle, scratch / "bundle"), intact=is_intact)
        table = policy_table(day, loaded, settings, version)
        local = scratch / "policy.parquet"
        pq.write_table(table, local, compression="zstd")
        path = day.path(NAME, f"policy-v{version}.parquet")
        day.storage().upload(local, path)
        return table_entry(local, path, len(table))


def policy_table(day: Day, bundle: Bundle, settings: Settings, version: int) -> pa.Table:
    """product_id, context, creative, probability, predicted_reward, version."""
    elements = todays_elements(day, bundle)
    policy = bundle.policy(elements, todays_rules(day, bundle))
    products = sorted(set(elements.product_id.tolist()))
    cells = _cells(day, bundle, settings.cells)
    asked = list(itertools.product(products, range(len(cells["rows"]))))
    context = {
        name: np.array([cells["rows"][cell][name] for _, cell in asked]) for name in bundle.context
    }
    found = policy.top([product for product, _ in asked], context, settings.top)
    return _table(asked, cells["shown"], found, version)


def todays_elements(day: Day, bundle: Bundle) -> Elements:
    """The candidates of today's catalog with their history, in the bundle's slots."""
    import pyarrow.compute as pc

    table = pq.ParquetFile(day.storage().fetch(day.path(FEATURES, "elements.parquet"))).read()
    names = tuple(bundle.config["feature_service"]["names"])
    return Elements.from_table(table.filter(pc.field("current")), bundle.slots, names)


def todays_rules(day: Day, bundle: Bundle) -> Rules:
    """Today's allow-list and forbidden pairs, with the bundle's optional slots."""
    window = read_window(day)
    files = [catalog_file(day, window, name) for name in ("combinations", "forbidden")]
    tables = [pq.ParquetFile(file).read() if file is not None else None for file in files]
    return Rules.from_tables(tables[0], tables[1], frozenset(bundle.config["optional_slots"]))


def _cells(day: Day, bundle: Bundle, names: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """The most frequent cells; what a cell leaves open stands at its median or most frequent value."""
    table = pq.ParquetFile(day.storage().fetch(day.path(FEATURES, "training_set.parquet"))).read(
        columns=["context"]
    )
    frame = table["context"].combine_chunks().flatten()
    fields = dict(zip((f.name for f in table["context"].type), frame, strict=True))
    unknown = pa.array([], pa.string())  # a context that today's log no longer has is missing
    usual = {n: _usual(fields.get(n, unknown), kind) for n, kind in bundle.context.items()}
    if not names:
        return {"rows": [usual], "shown": [{}]}
    counted = (
        pa.table({n: fields[n] for n in names}).group_by(list(names)).aggregate([([], "count_all")])
    )
    order = [("count_all", "descending"), *((name, "ascending") for name in names)]
    shown = counted.sort_by(order).slice(0, CELLS_A_PRODUCT).select(list(names)).to_pylist()
    rows = [{**usual, **{k: v for k, v in cell.items() if v is not None}} for cell in shown]
    return {"rows": rows, "shown": shown}


def _usual(values: pa.Array, kind: str) -> Any:
    import pyarrow.compute as pc

    known = pc.drop_null(values)
    if kind == "number":
        return float(np.median(known.to_numpy())) if len(known) else float("nan")
    return _mode(known)


def _mode(values: pa.Array) -> str:
    counts = values.value_counts().to_pylist()
    return min(counts, key=lambda c: (-c["counts"], c["values"]))["values"] if counts else ""


def _table(
    asked: list[tuple[str, int]],
    shown: list[dict[str, Any]],
    found: list[Distribution],
    version: int,
) -> pa.Table:
    rows = []
    for (product, cell), choice in zip(asked, found, strict=True):
        for place, creative in enumerate(choice.combinations):
            rows.append(
                {
                    "product_id": product,
                    "context": shown[cell] or {"all": "*"},
                    "creative": [{"slot": s, "element": e} for s, e in creative.items()],
                    "probability": float(choice.probability[place]),
                    "predicted_reward": float(choice.predicted_reward[place]),
                    "version": version,
                }
            )
    return pa.Table.from_pylist(rows)
