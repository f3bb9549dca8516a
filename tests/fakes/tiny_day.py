"""A tiny source taken through ingest_logs and validate_logs, and what was published of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tiny_logs import CONTEXT, DS, SLOTS

from components.day import Day
from components.ingest_logs import stage as ingest_logs
from components.validate_logs import stage as validate_logs


@dataclass(frozen=True)
class TinyDay:
    """What the two stages said of a day, and the manifest of the attempt that they judged."""

    root: Path
    arrived: ingest_logs.Result
    result: validate_logs.Result
    manifest: dict[str, Any]

    def rows(self, table: str) -> list[dict[str, Any]]:
        files = [self.root / "store" / entry["path"] for entry in self.manifest["tables"][table]]
        return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]

    def bag(self, bag_id: str) -> dict[str, Any]:
        (found,) = [row for row in self.rows("bags") if row["bag_id"] == bag_id]
        return found

    def rules(self, file: str) -> dict[int, list[str]]:
        """Row number -> the rules that refused it, of the files whose path holds `file`."""
        return {
            row["row"]: [reason["rule"] for reason in row["reasons"]]
            for row in self.rows("quarantine")
            if file in row["source_file"]
        }

    def account(self, file: str) -> tuple[int, int, int, int]:
        """(read, kept, duplicate, quarantined) of the one file whose path holds `file`."""
        (entry,) = [row for row in self.manifest["accounting"] if file in row["file"]]
        return tuple(entry[key] for key in ("read", "kept", "duplicate", "quarantined"))


def ingest(root: Path, ds: str = DS, **changes: Any) -> ingest_logs.Result:
    """ingest_logs on the source below `root`, its store beside it."""
    settings = {
        "logs": str(root / "logs"),
        "catalog": str(root / "catalog"),
        "slots": SLOTS,
        "context": CONTEXT,
        "window_days": 7,
        "click_hours": 1,
        "conversion_days": 2,
        "late_days": 1,
        "user_limit": 20,
        "memory": "500MB",
        "identity": {},
    }
    day = Day(ds=ds, store=str(root / "store"), work=str(root / "work"))
    return ingest_logs.run(day, ingest_logs.Settings(**(settings | changes)))


def judge(
    root: Path, ds: str = DS, quarantined_share: float = 0.05, user_limit: int = 20, **changes: Any
) -> TinyDay:
    """Both stages; a person sees at most `user_limit` displays a day."""
    arrived = ingest(root, ds, user_limit=user_limit, **changes)
    settings = validate_logs.Settings(
        quarantined_share=quarantined_share,
        user_limit=user_limit,
        config_digest="tiny",
        rules=changes.get("rules", {}),
    )
    result = validate_logs.run(arrived.day, settings)
    manifest = json.loads((root / "store" / "manifests" / "judged" / f"ds={ds}.json").read_text())
    return TinyDay(root, arrived, result, manifest)


def unbalanced(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Files of which some row is not accounted for."""
    return [
        row
        for row in manifest["accounting"]
        if row["read"] != row["kept"] + row["duplicate"] + row["quarantined"]
    ]
