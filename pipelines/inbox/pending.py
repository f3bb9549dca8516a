"""What waits for a person: judged versions without a decision, and days with quarantined rows."""

import json
from dataclasses import dataclass
from typing import Any

from components.manifests import read_judged
from components.promotion import (
    Desk,
    approval_in,
    decision_path,
    evidence_digest,
    page_path,
)

DAYS = 30  # newest judged days whose quarantine is looked at
ENDED = ("promoted", "rolled back")


@dataclass(frozen=True)
class Pending:
    """A version that may be decided on: its verdict, reasons, and a standing approval if any.

    evidence: digest of what was shown, which an approval carries back.
    """

    version: int
    ds: str
    verdict: str
    reasons: tuple[str, ...]
    judged_at: str
    started_by: str
    approved_by: str | None
    expires: str | None
    evidence: str


@dataclass(frozen=True)
class Quarantined:
    """A day's unfit rows by rule, and whether the day was used."""

    ds: str
    verdict: str
    rows: int
    read: int


def pending_versions(desk: Desk) -> list[Pending]:
    """Judged versions, newest first, that were neither rejected nor promoted since."""
    last: dict[int, dict[str, Any]] = {}
    entries = desk.entries()
    for entry in entries:
        if entry["kind"] in ("judged", "approved", "rejected", *ENDED):
            last[entry["version"]] = entry
    found = []
    for number in sorted(last, reverse=True):
        if last[number]["kind"] in ("judged", "approved"):
            found.append(_pending(desk, entries, number))
    return [one for one in found if one is not None]


def read_pending(desk: Desk, number: int) -> Pending | None:
    """One version as it stands; None where it was never judged here."""
    return _pending(desk, desk.entries(), number)


def _pending(desk: Desk, entries: list[dict[str, Any]], number: int) -> Pending | None:
    version = desk.registry.get(number)
    if version is None or not desk.storage.exists(decision_path(version.bundle)):
        return None
    decision = json.loads(desk.storage.read(decision_path(version.bundle)))
    judged = [e for e in entries if e["kind"] == "judged" and e["version"] == number]
    standing = approval_in(entries, number)
    return Pending(
        version=number,
        ds=version.tags["genco.ds"],
        verdict=decision["verdict"],
        reasons=tuple(decision["reasons"]),
        judged_at=judged[-1]["at"] if judged else "",
        started_by=decision["author"],
        approved_by=standing["by"] if standing else None,
        expires=standing["expires"] if standing else None,
        evidence=evidence_digest(desk.storage, version.bundle),
    )


def promotion_page(desk: Desk, number: int) -> bytes | None:
    """The version's promotion page, None where there is none."""
    version = desk.registry.get(number)
    if version is None:
        return None
    path = page_path(version)
    return desk.storage.read(path) if desk.storage.exists(path) else None


def quarantined_days(desk: Desk) -> list[Quarantined]:
    """The newest judged days that hold quarantined rows, newest first."""
    listed = [one.path for one in desk.storage.listing("manifests/judged")]
    days = sorted(
        (path.rsplit("ds=", 1)[-1].removesuffix(".json") for path in listed), reverse=True
    )
    found = []
    for ds in days[:DAYS]:
        manifest = read_judged(desk.storage, ds)
        rows = sum(row["quarantined"] for row in manifest["accounting"]) if manifest else 0
        if manifest and rows:
            read = sum(row["read"] for row in manifest["accounting"])
            found.append(Quarantined(ds, manifest["verdict"], rows, read))
    return found
