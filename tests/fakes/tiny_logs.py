"""A hand-made source of a few rows, to bend in tests: one product, two slots, one good day."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DS = "2026-03-10"
SLOTS = ("title", "image")
CONTEXT = {"device": "categorical", "hour": "number"}


def impression(number: int, ds: str = DS, **changes: Any) -> dict[str, Any]:
    """A fit display; `changes` bend it."""
    row = {
        "impression_id": f"{ds}-i{number}",
        "shown_at": f"{ds}T10:{number % 60:02d}:00Z",
        "product_id": f"p{number % 2}",
        "user_id": f"u{number}",
        "context": {"device": "phone" if number % 2 else "desk", "hour": 10},
        "creative": {"title": f"t{number % 3}", "image": f"m{number % 2}"},
        "propensity": 0.25,
        "policy": "log-1",
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


def click(number: int, ds: str = DS, minutes: int = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "impression_id": f"{ds}-i{number}",
        "clicked_at": f"{ds}T10:{number % 60:02d}:30Z",
    }
    return row | changes


def write_lines(root: Path, kind: str, ds: str, rows: list[Any], name: str = "part-0") -> Path:
    """Rows as gzipped JSON Lines; a row that is text is written as it is."""
    target = root / "logs" / kind / f"dt={ds}" / f"{name}.jsonl.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    with gzip.GzipFile(target, "wb", mtime=0) as stream:
        stream.write(("\n".join(lines) + "\n").encode())
    return target


def write_catalog(root: Path, ds: str = DS) -> None:
    """Two products with three titles and two images each; p1's t2 may not go with m1."""
    rows = [
        {"product_id": product, "slot": slot, "element_id": element, "text": f"{slot} {element}"}
        for product in ("p0", "p1")
        for slot, elements in (("title", ("t0", "t1", "t2")), ("image", ("m0", "m1")))
        for element in elements
    ]
    target = root / "catalog" / "elements" / f"dt={ds}" / "part-0.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), target)


def write_good_day(root: Path, ds: str = DS, rows: int = 60) -> None:
    write_lines(root, "impressions", ds, [impression(n, ds) for n in range(rows)])
    write_lines(root, "clicks", ds, [click(n, ds) for n in range(0, rows, 7)])
