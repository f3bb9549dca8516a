"""What ingest left for later stages of the same attempt: the window's days and its catalog."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.day import Day
from components.ingest_logs.stage import NAME
from components.manifests import FIT, fetch_table, read_manifest


@dataclass(frozen=True)
class Window:
    """Days of the window with their attempts, days without logs, and the catalog's folder."""

    made: dict[str, str]
    missing: list[str]
    catalog: str


def read_window(day: Day) -> Window:
    found = json.loads(day.storage().read(day.path(NAME, "result.json")))
    return Window(found["made"], found["missing"], found["catalog"])


def fit_days(day: Day, window: Window) -> dict[str, dict[str, Any]]:
    """Manifests of the window's days that are fit to learn from, by day."""
    storage = day.storage()
    manifests = {dt: read_manifest(storage, dt) for dt in window.made}
    return {dt: m for dt, m in manifests.items() if m is not None and m["verdict"] == FIT}


def fit_bags(day: Day, manifests: dict[str, dict[str, Any]]) -> list[Path]:
    """Local files of the published bags of these days, verified."""
    storage = day.storage()
    return [
        file for dt in sorted(manifests) for file in fetch_table(storage, manifests[dt], "bags")
    ]


def catalog_file(day: Day, window: Window, name: str) -> Path | None:
    """A table of the catalog as ingest read it: known, elements, combinations or forbidden."""
    storage = day.storage()
    path = f"{window.catalog}/{name}.parquet"
    return storage.fetch(path) if storage.exists(path) else None
