"""`genco dq release`: quarantined rows delivered again, repaired or with a rule waived, once."""

import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.adapters.clock import now
from components.adapters.ledger import Ledger
from components.adapters.storage import Storage, open_storage
from components.errors import Refused, WrongUse
from components.ingest_logs.inputs import digest
from components.ingest_logs.release import Release, add_release, read_releases
from pipelines.config import load_config
from pipelines.quality import chosen_rows, open_judged
from pipelines.running import absolute, acting_person
from validation.contract import WAIVABLE

RELEASED = "released"


@dataclass(frozen=True)
class Wanted:
    """Which quarantined rows of a day to release, how, and why."""

    ds: str
    rule: str | None
    file: str | None
    reason: str
    fixed: Path | None
    waive: bool


def release(config_file: Path, wanted: Wanted, who: str | None) -> dict[str, Any]:
    """{ds, rows, file, ...} of what was released; rows 0 where it all was released before."""
    _check(wanted)
    config = absolute(load_config(config_file))
    person = acting_person(config, who)
    if person.unproven is not None:
        raise Refused(f"who releases the rows is not proven: {person.unproven}; sign in")
    storage, manifest = open_judged(config_file, wanted.ds)
    rows = chosen_rows(storage, manifest, wanted.rule, wanted.file)
    digests = {entry["file"]: entry["sha256"] for entry in manifest["accounting"]}
    keyed = {(digests[row["source_file"]], row["row"]): row for row in rows}
    logs = open_storage(config.logs, config.endpoint_url)
    known = read_releases(storage, wanted.ds)
    before = {key: one for one in known for key in one.rows}
    fresh = {key: row for key, row in keyed.items() if key not in before}
    if not fresh:
        stands = next((before[key] for key in keyed), None)
        return _nothing_new(logs, wanted, stands)
    lines = _lines(wanted, list(fresh.values()))
    content = ("\n".join(lines) + "\n").encode()
    waived = wanted.rule if wanted.waive else None
    kind = _one_kind(row["source_file"] for row in fresh.values())
    name = digest([wanted.ds, sorted(fresh), waived, hashlib.sha256(content).hexdigest()])
    found = Release(
        ds=wanted.ds,
        file=f"{kind}/dt={wanted.ds}/release-{name}.jsonl",
        sha256=hashlib.sha256(content).hexdigest(),
        rows=tuple(sorted(fresh)),
        waived=waived,
        by=person.name,
        at=now().isoformat(),
        reason=wanted.reason,
        identity=person.kind,
    )
    logs.write(found.file, content)  # without its record the file is one more delivery
    add_release(storage, found)
    told = {"ds": found.ds, "file": found.file, "sha256": found.sha256, "waived": waived}
    told |= {"rows": len(fresh), "reason": found.reason}
    Ledger(storage, config.name).append(
        RELEASED, now(), by=found.by, identity=found.identity, **told
    )
    return told | {"by": found.by, "at": found.at}


def _check(wanted: Wanted) -> None:
    if not wanted.reason.strip():
        raise WrongUse("a release needs a written --reason; found none")
    if (wanted.fixed is None) == (not wanted.waive):
        raise WrongUse("say either --fixed FILE (the rows repaired) or --waive (as they came)")
    if wanted.waive and wanted.rule not in WAIVABLE:
        raise WrongUse(
            f"--waive needs --reason-code of a rule that can be waived ({', '.join(WAIVABLE)}), "
            f"found {wanted.rule}: rows that break another rule can't be used as they are; repair "
            "them (genco dq show --out FILE) and give --fixed FILE"
        )


def _nothing_new(logs: Storage, wanted: Wanted, stands: Release | None) -> dict[str, Any]:
    told: dict[str, Any] = {"ds": wanted.ds, "rows": 0, "file": None}
    if stands is None:
        return told | {"says": "no quarantined row is chosen"}
    if not logs.exists(stands.file):
        raise Refused(
            f"{stands.file}, which {stands.by} released at {stands.at}, is not in the logs any "
            "more; put it back from a copy: its rows are not released without it"
        )
    return told | {
        "file": stands.file,
        "says": f"they were released by {stands.by} at {stands.at}",
    }


def _lines(wanted: Wanted, rows: list[dict[str, Any]]) -> list[str]:
    """The rows to deliver: as they came, or the repaired ones, as many as they stand for."""
    if wanted.fixed is None:
        assert wanted.rule is not None, "a waiver names its rule"
        return [row["raw"] for row in rows]
    lines = _read(wanted.fixed)
    if len(lines) != len(rows):
        raise WrongUse(
            f"{wanted.fixed} holds {len(lines)} rows, expected {len(rows)}, one for each chosen "
            "row: genco dq show --out FILE writes these, in order; narrow with --reason-code and "
            "--file"
        )
    for number, line in enumerate(lines, start=1):
        if not _is_object(line):
            raise WrongUse(f"{wanted.fixed} row {number} is not a JSON object; repair it first")
    return lines


def _read(fixed: Path) -> list[str]:
    try:
        content = fixed.read_bytes()
        text = (gzip.decompress(content) if fixed.suffix == ".gz" else content).decode()
    except (OSError, ValueError) as error:
        raise WrongUse(f"--fixed {fixed} can't be read: {error}; expected JSON Lines") from error
    return [line for line in text.splitlines() if line.strip()]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _one_kind(files: Iterable[str]) -> str:
    kinds = sorted({file.split("/")[0] for file in files})
    if len(kinds) != 1:
        raise WrongUse(
            f"the chosen rows are of {', '.join(kinds)}; release one kind at a time: narrow with "
            "--file or --reason-code"
        )
    return kinds[0]


def words(told: dict[str, Any]) -> str:
    """The same for a person, with the next command."""
    if not told["rows"]:
        return f"nothing more is released of ds={told['ds']}: {told['says']}"
    how = "repaired" if told["waived"] is None else f"rule {told['waived']} waived"
    return (
        f"{told['rows']} rows of ds={told['ds']} released ({how}) as {told['file']} by "
        f"{told['by']}\nnext: genco run --ds {told['ds']} --config FILE makes the day again"
    )
