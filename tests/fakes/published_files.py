"""Digests of what a store publishes, without what tells the time of day."""

import hashlib
import json
from pathlib import Path

TOLD_BY_THE_CLOCK = (".html", "ledger", "gate_promotion/serving-")
TIMES = ("p95_ms", "peak_mib")  # of one process, measured once a version


def published_files(store: Path) -> dict[str, str]:
    """Path below the store -> sha256, of manifests, catalogs and everything of the attempts."""
    return {
        file.relative_to(store).as_posix(): hashlib.sha256(_content(file)).hexdigest()
        for part in ("days", "manifests", "catalogs")
        for file in sorted((store / part).rglob("*"))
        if file.is_file()
        and not file.name.startswith(".")
        and not any(word in file.as_posix() for word in TOLD_BY_THE_CLOCK)
    }


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    return _without_times(content) if file.name == "decision.json" else content


def _without_times(content: bytes) -> bytes:
    """A decision without what differs from process to process."""
    decision = json.loads(content)
    digest = decision.pop("evidence_digest")
    for name in TIMES:
        assert decision["evidence"]["serving"].pop(name) > 0
    for gate in decision["decisions"]:
        if gate["name"] == "serving":
            gate["findings"] = [f for f in gate["findings"] if not f["source"].endswith(TIMES)]
    return json.dumps(decision, sort_keys=True).replace(digest[:12], "").encode()
