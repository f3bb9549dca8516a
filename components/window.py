"""What ingest left for later stages of the same attempt: the window's days and its catalog."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.adapters.storage import Storage
from components.day import Day, attempt_path
from components.ingest_logs.stage import NAME
from components.manifests import FIT, fetch_table, read_manifest


@dataclass(frozen=True)
class Window:
    """Days of the window with their attempts, days without logs, and the catalog's folder.

    stray: files of the logs that lie in no day's folder.
    """

    made: dict[str, str]
    missing: list[str]
    catalog: str
    stray: tuple[str, ...] = ()


def read_window(day: Day) -> Window:
    found = json.loads(day.storage().read(day.path(NAME, "result.json")))
    return Window(found["made"], found["missing"], found["catalog"], tuple(found.get("stray", ())))


def fit_days(day: Day, window: Window) -> dict[str, dict[str, Any]]:
    """Manifests of the window's days that are fit to learn from, by day.

    Of the attempts that this run made, whatever another run published of a day meanwhile: a later
    day's run publishes earlier days again with labels that this one could not know.
    """
    storage = day.storage()
    manifests = {dt: judged_manifest(storage, dt, made) for dt, made in window.made.items()}
    return {dt: m for dt, m in manifests.items() if m is not None and m["verdict"] == FIT}


def judged_manifest(storage: Storage, dt: str, attempt: str) -> dict[str, Any] | None:
    """What was judged of this attempt of a day; where that is not kept, what is published."""
    path = own_manifest(dt, attempt)
    return json.loads(storage.read(path)) if storage.exists(path) else read_manifest(storage, dt)


def own_manifest(dt: str, attempt: str) -> str:
    """Where validate_logs keeps what it judged of an attempt, published or not."""
    return f"{attempt_path(dt, attempt)}/validate_logs/manifest.json"


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
