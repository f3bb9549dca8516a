"""What the evidence says of the day's data and of where the version came from."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.day import Day
from components.ingest_logs.inputs import digest
from components.materialize_features.stage import NAME as FEATURES
from components.materialize_features.stage import Result as Features
from components.window import judged_manifest, read_window


def provenance_facts(day: Day, identity: dict[str, Any], features: Features) -> dict[str, Any]:
    """From what the version was made."""
    window = read_window(day)
    return {
        "commit": identity["commit"],
        "dirty": not identity["clean"],
        "image": identity["image"],
        "inputs": digest(window.made),
        "features": features.fingerprint,
        "seed": identity["seed"],
        "ds": [max(window.made)],
    }


def data_facts(day: Day, mature_share: float) -> dict[str, Any]:
    """Verdict, unfit share, volume against earlier same weekdays, and final labels."""
    storage = day.storage()
    manifest = judged_manifest(storage, day.ds, read_window(day).made[day.ds])
    assert manifest is not None, "the day was published before it was learned from"
    read = sum(row["read"] for row in manifest["accounting"])
    return {
        "verdict": manifest["verdict"],
        "blocking": manifest["reasons"],
        "quarantined_share": manifest["refused"] / read if read else 0.0,
        "volume": _volume(manifest),
        "mature_share": mature_share,
    }


def days_of(day: Day) -> tuple[list[str], list[str]]:
    """(days of the rows that judge, days of the rows that were learned from)."""
    file = day.storage().fetch(day.path(FEATURES, "training_set.parquet"))
    rows = pq.read_table(file, columns=["ds", "held_out"])
    ds = np.array([str(one)[:10] for one in rows["ds"].to_pylist()])
    held_out = rows["held_out"].to_numpy(zero_copy_only=False)
    return np.unique(ds[held_out]).tolist(), np.unique(ds[~held_out]).tolist()


def _volume(manifest: dict[str, Any]) -> dict[str, float] | None:
    """The day's bags within the band that validation judged them by; None if too few days."""
    band = manifest.get("volume")
    bags = sum(entry["rows"] for entry in manifest["tables"]["bags"])
    return None if band is None else {"value": float(bags), **band}
