"""What the evidence says of the day's data and of where the version came from."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.day import Day
from components.ingest_logs.inputs import digest
from components.materialize_features.stage import NAME as FEATURES
from components.materialize_features.stage import Result as Features
from components.window import judged_manifest, read_window

SAME_WEEKDAYS = 3  # earlier same weekdays that a band of volume needs
BAND = 3.0  # standard deviations of log volume on either side


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
        "volume": _volume(day, manifest),
        "mature_share": mature_share,
    }


def days_of(day: Day) -> tuple[list[str], list[str]]:
    """(days of the rows that judge, days of the rows that were learned from)."""
    file = day.storage().fetch(day.path(FEATURES, "training_set.parquet"))
    rows = pq.read_table(file, columns=["ds", "held_out"])
    ds = np.array([str(one)[:10] for one in rows["ds"].to_pylist()])
    held_out = rows["held_out"].to_numpy(zero_copy_only=False)
    return np.unique(ds[held_out]).tolist(), np.unique(ds[~held_out]).tolist()


def _volume(day: Day, manifest: dict[str, Any]) -> dict[str, float] | None:
    """The day's bags within the band of earlier same weekdays in the window; None if too few."""
    weekday = date.fromisoformat(day.ds).weekday()
    storage = day.storage()
    earlier = []
    for dt, attempt in read_window(day).made.items():
        if dt < day.ds and date.fromisoformat(dt).weekday() == weekday:
            known = judged_manifest(storage, dt, attempt)
            if known is not None:
                earlier.append(_bags(known))
    if len(earlier) < SAME_WEEKDAYS:
        return None
    logs = np.log(np.maximum(earlier, 1))
    spread = BAND * max(float(logs.std(ddof=1)), 0.1)
    middle = float(np.median(logs))
    return {
        "value": float(_bags(manifest)),
        "low": float(np.exp(middle - spread)),
        "high": float(np.exp(middle + spread)),
    }


def _bags(manifest: dict[str, Any]) -> int:
    return sum(entry["rows"] for entry in manifest["tables"]["bags"])
