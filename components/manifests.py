"""The day's manifest: read, and replaced by one atomic conditional write (CONTRACT 3)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.adapters.storage import Storage, digest_of
from components.day import judged_path, manifest_path, to_json
from components.errors import Failed

FIT = "FIT"
BLOCKED = "BLOCKED"


def read_manifest(storage: Storage, ds: str) -> dict[str, Any] | None:
    """What is published for a day, or None."""
    path = manifest_path(ds)
    return json.loads(storage.read(path)) if storage.exists(path) else None


def read_judged(storage: Storage, ds: str) -> dict[str, Any] | None:
    """What was judged last of a day: the published manifest, or a blocked attempt's; or None."""
    path = judged_path(ds)
    return json.loads(storage.read(path)) if storage.exists(path) else None


def change_manifest(
    storage: Storage, ds: str, change: Callable[[dict[str, Any] | None], dict[str, Any]]
) -> dict[str, Any]:
    """The new manifest, written only if nobody else replaced the old one meanwhile (Conflict).

    An unchanged manifest is not written again.
    """
    path = manifest_path(ds)
    was = storage.read(path) if storage.exists(path) else None
    manifest = change(json.loads(was) if was is not None else None)
    content = to_json(manifest)
    if content != was:
        storage.replace(path, content, was)
    return manifest


def table_entry(local: Path, path: str, rows: int) -> dict[str, Any]:
    """A published file as the manifest lists it."""
    return {"path": path, "rows": rows, "sha256": digest_of(local)}


def fetch_table(storage: Storage, manifest: dict[str, Any], table: str) -> list[Path]:
    """Local copies of a published table's files, their digests verified."""
    files = []
    for entry in manifest["tables"].get(table, []):
        local = storage.fetch(entry["path"])
        if digest_of(local) != entry["sha256"]:
            raise Failed(
                f"{storage.locate(entry['path'])} is not what manifest ds={manifest['ds']} "
                f"published (its sha256 differs from {entry['sha256'][:12]}...); restore the file "
                "or run the day again"
            )
        files.append(local)
    return files
