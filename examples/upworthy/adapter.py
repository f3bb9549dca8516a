"""Arms of randomised tests -> our aggregates log and catalog (CONTRACT 1 and 2).

A test is a product, its arms are its only allowed combinations of headline and image, and an arm
was drawn with chance 1 / arms. Arms of a test that show the same headline and image are one
combination: their counts are added, and its propensity is their share of the arms.
"""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

NO_IMAGE = "none"


def element_id(text: str) -> str:
    """A stable id of a headline: the digest of its text."""
    return "h-" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def combinations(arms: pd.DataFrame) -> pd.DataFrame:
    """One row a distinct combination of a test, with its counts and propensity."""
    arms = arms.assign(
        headline=arms["headline"].fillna("").astype(str),
        image_id=arms["image_id"].fillna(NO_IMAGE).astype(str),
    )
    arms["arms"] = arms.groupby("test_id")["test_id"].transform("size")
    keys = ["test_id", "created_at", "headline", "image_id", "arms"]
    merged = arms.groupby(keys, as_index=False, sort=True).agg(
        impressions=("impressions", "sum"), clicks=("clicks", "sum"), merged=("clicks", "size")
    )
    merged["propensity"] = merged["merged"] / merged["arms"]
    merged["element_id"] = merged["headline"].map(element_id)
    merged["ds"] = merged["created_at"].dt.strftime("%Y-%m-%d")
    return merged


def write(arms: pd.DataFrame, out: Path) -> dict[str, Any]:
    """Writes logs/aggregates and catalog below `out`; returns the counts."""
    rows = combinations(arms)
    for ds, day in rows.groupby("ds", sort=True):
        _write_day(out / "logs" / "aggregates" / f"dt={ds}" / "part-0.jsonl.gz", day)
    first, last = rows["ds"].min(), rows["ds"].max()
    elements, allowed = _elements(rows), _allowed(rows)
    for ds in sorted({first, last}):
        for kind, table in (("elements", elements), ("combinations", allowed)):
            target = out / "catalog" / kind / f"dt={ds}" / "part-0.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, target, compression="zstd")
    return {
        "tests": int(rows["test_id"].nunique()),
        "arms": len(arms),
        "combinations": len(rows),
        "impressions": int(rows["impressions"].sum()),
        "clicks": int(rows["clicks"].sum()),
        "days": int(rows["ds"].nunique()),
        "first": first,
        "last": last,
    }


def _write_day(target: Path, day: pd.DataFrame) -> None:
    lines = []
    for row in day.itertuples(index=False):
        bag = {
            "product_id": str(row.test_id),
            "context": {},
            "creative": {"headline": row.element_id, "image": str(row.image_id)},
            "propensity": float(row.propensity),
            "policy": "uniform",
            "shown_at": row.created_at.isoformat() + "Z",
            "impressions": int(row.impressions),
            "clicks": int(row.clicks),
        }
        lines.append(json.dumps(bag, separators=(",", ":")))
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        stream.write(("\n".join(lines) + "\n").encode())


def _elements(rows: pd.DataFrame) -> pa.Table:
    headlines = rows[["test_id", "element_id", "headline", "created_at"]].drop_duplicates(
        ["test_id", "element_id"]
    )
    headlines = headlines.rename(columns={"headline": "text"}).assign(slot="headline")
    images = rows[["test_id", "image_id", "created_at"]].drop_duplicates(["test_id", "image_id"])
    images = images.rename(columns={"image_id": "element_id"}).assign(slot="image", text=None)
    both = pd.concat([headlines, images.astype({"text": object})], ignore_index=True)
    both = both.sort_values(["test_id", "slot", "element_id"])
    return pa.table(
        {
            "product_id": pa.array(both["test_id"].astype(str), pa.string()),
            "slot": pa.array(both["slot"], pa.string()),
            "element_id": pa.array(both["element_id"].astype(str), pa.string()),
            "text": pa.array(both["text"], pa.string()),
            "created_at": pa.array(both["created_at"].astype("datetime64[ms]")),
        }
    )


def _allowed(rows: pd.DataFrame) -> pa.Table:
    creative = [
        [("headline", row.element_id), ("image", str(row.image_id))]
        for row in rows.itertuples(index=False)
    ]
    return pa.table(
        {
            "product_id": pa.array(rows["test_id"].astype(str), pa.string()),
            "creative": pa.array(creative, pa.map_(pa.string(), pa.string())),
        }
    )
