"""Displays -> the logs of an ad server, and the catalog, exactly as CONTRACT 1 and 2 say."""

import gzip
import itertools
import json
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from examples.storefront.events import MILLIS_A_DAY, Displays
from examples.storefront.rules import ShopRules
from examples.storefront.truth import SLOTS, Truth

PARTS = 2
CREATED = np.datetime64("2026-06-01", "ms")  # every candidate is older than any simulated day


def shift(ds: str, days: int) -> str:
    return (date.fromisoformat(ds) + timedelta(days=days)).isoformat()


def midnight(ds: str) -> np.datetime64:
    return np.datetime64(ds, "ms")


def impressions_table(truth: Truth, ds: str, shown: Displays, policy: str) -> pa.Table:
    """The day's displays as columns of the impressions log."""
    rows = len(shown.millis)
    names = [
        np.array(
            [truth.ids[p][s][k] for p, k in zip(shown.product, shown.choice[:, s], strict=True)],
            object,
        )
        for s in range(len(SLOTS))
    ]
    context = {
        name: pa.array(values.astype(np.int64) if name == "hour" else values)
        for name, values in shown.context.items()
    }
    entries = pa.MapArray.from_arrays(
        pa.array(np.arange(0, rows * len(SLOTS) + 1, len(SLOTS), dtype=np.int32)),
        pa.array(np.tile(np.array(SLOTS, object), rows), pa.string()),
        pa.array(np.stack(names, axis=1).reshape(-1), pa.string()),
    )
    return pa.table(
        {
            "impression_id": pa.array(impression_ids(ds, np.arange(rows))),
            "shown_at": pa.array(midnight(ds) + shown.millis.astype("timedelta64[ms]")),
            "product_id": pa.array(np.array(truth.products, object)[shown.product]),
            "user_id": pa.array(np.char.add("u", shown.user.astype(str))),
            "context": pa.StructArray.from_arrays(list(context.values()), names=list(context)),
            "creative": entries,
            "propensity": pa.array(shown.propensity),
            "policy": pa.array(np.full(rows, policy, object)),
        }
    )


def impression_ids(ds: str, rows: np.ndarray) -> np.ndarray:
    """(n,) ids of the day's displays."""
    day = ds.replace("-", "")
    return np.array([f"{day}-{row:08d}" for row in rows.tolist()], "U17")


def event_tables(ds: str, shown: Displays) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """Clicks and conversions by the day that they happened on, ds among them."""
    clicked = shown.millis[shown.clicked] + np.minimum(shown.click_lag, 3_599_000)
    clicks = {
        "impression_id": impression_ids(ds, shown.clicked),
        "clicked_at": midnight(ds) + clicked.astype("timedelta64[ms]"),
    }
    bought = shown.millis[shown.converted] + shown.conversion_lag
    conversions = {
        "impression_id": impression_ids(ds, shown.converted),
        "converted_at": midnight(ds) + bought.astype("timedelta64[ms]"),
        "value": shown.value,
    }
    return _by_day(ds, clicks, clicked), _by_day(ds, conversions, bought)


def _by_day(ds: str, columns: dict[str, np.ndarray], millis: np.ndarray) -> dict[str, pa.Table]:
    day = millis // MILLIS_A_DAY
    return {
        shift(ds, int(number)): pa.table(
            {n: pa.array(c[day == number]) for n, c in columns.items()}
        )
        for number in np.union1d(day, [0])
    }


def write_table(root: Path, kind: str, ds: str, table: pa.Table, name: str) -> None:
    target = root / kind / f"dt={ds}" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, compression="zstd")


def write_parts(root: Path, kind: str, ds: str, table: pa.Table, parts: int = PARTS) -> None:
    """A table as several files of a partition."""
    edges = np.linspace(0, len(table), parts + 1).astype(int)
    for part, (start, end) in enumerate(itertools.pairwise(edges)):
        write_table(root, kind, ds, table.slice(start, end - start), f"part-{part}")


def write_lines(root: Path, kind: str, ds: str, lines: list[str], name: str) -> None:
    """Gzipped JSON Lines, the same bytes for the same lines."""
    target = root / kind / f"dt={ds}" / f"{name}.jsonl.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def write_catalog(root: Path, ds: str, truth: Truth, rules: ShopRules) -> None:
    """The snapshot of a day: elements, allow-lists, forbidden pairs."""
    rows: dict[str, list[Any]] = defaultdict(list)
    for p, product in enumerate(truth.products):
        for s, slot in enumerate(SLOTS):
            for k, element in enumerate(truth.ids[p][s]):
                vector = truth.embedding[p, s, k]
                rows["product_id"].append(product)
                rows["slot"].append(slot)
                rows["element_id"].append(element)
                rows["text"].append(truth.texts[p][s][k] or None)
                rows["embedding"].append(None if np.isnan(vector).any() else vector.tolist())
                rows["created_at"].append(CREATED)
    types = {"embedding": pa.list_(pa.float32()), "text": pa.string()}
    elements = {name: pa.array(column, types.get(name)) for name, column in rows.items()}
    write_table(root, "elements", ds, pa.table(elements), "part-0")
    keys = ("product_id", "slot_a", "element_a", "slot_b", "element_b")
    pairs = [dict(zip(keys, pair, strict=True)) for pair in rules.forbidden]
    schema = pa.schema([(key, pa.string()) for key in keys])
    write_table(root, "forbidden", ds, pa.Table.from_pylist(pairs, schema), "part-0")
    listed = [
        {
            "product_id": truth.products[p],
            "creative": [
                (slot, truth.ids[p][s][k])
                for s, (slot, k) in enumerate(zip(SLOTS, choice, strict=True))
            ],
        }
        for p, choices in rules.listed.items()
        for choice in choices
    ]
    schema = pa.schema(
        [("product_id", pa.string()), ("creative", pa.map_(pa.string(), pa.string()))]
    )
    write_table(root, "combinations", ds, pa.Table.from_pylist(listed, schema), "part-0")


def row_lines(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as JSON objects, as an ad server would write them."""
    rows = []
    for row in table.to_pylist():
        row["shown_at"] = row["shown_at"].isoformat() + "Z"
        row["creative"] = dict(row["creative"])
        rows.append(row)
    return rows


def dumps(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":"))
