"""Evidence and limits -> the verdict, the promotion page, a ledger entry.

Never waits for a person: a PROMOTE verdict asks for an approval, which `genco approve` gives.
The same evidence is judged once; judging it again changes nothing.
"""

import hashlib
import json
from dataclasses import replace
from typing import Any

from components.adapters.clock import now
from components.adapters.ledger import Ledger
from components.adapters.registry import Version
from components.adapters.signing import open_trust
from components.day import Day, Frozen, to_json
from components.errors import Failed
from components.evaluate_candidate.incumbent import Champion, read_champion
from components.gate_promotion.page import promotion_view
from components.gate_promotion.past import foreseen
from components.gate_promotion.serving import serving_of
from components.manifests import change_manifest
from components.promotion import decision_path, note_limits, page_path
from components.register_version.sealed import check_sealed
from components.register_version.stage import open_registry
from validation.gate.evidence import Evidence, Integrity
from validation.gate.limits import Limits
from validation.gate.verdict import Judgement, judge
from validation.pages.promotion import render_promotion

NAME = "gate_promotion"


class Settings(Frozen):
    """The registry, the limits (None takes every default), and who started the run."""

    name: str
    tracking_uri: str
    trusted_keys: tuple[str, ...] = ()
    limits: dict[str, dict[str, Any]] | None
    author: str
    identity: dict[str, Any]


class Result(Frozen):
    """The verdict with its reasons, and where the page and the decision lie below the store."""

    verdict: str
    reasons: list[str]
    page: str
    decision: str


def run(day: Day, settings: Settings, evidence: str, version: int) -> Result:
    """The verdict is in the day's manifest, the ledger and on the promotion page."""
    registry = open_registry(day, settings.name, settings.tracking_uri)
    found = registry.get(version)
    if found is None:
        raise Failed(f"version {version} is not in the registry; run register_version again")
    limits = Limits() if settings.limits is None else Limits.from_dict(settings.limits)
    facts = Evidence.from_dict(json.loads(day.storage().read(evidence)))
    facts = replace(
        facts,
        challenger=str(version),
        integrity=integrity_of(day, found, settings.trusted_keys),
        serving=serving_of(day, found),
    )
    judgement = judge(facts, limits)
    result = _keep(day, settings, facts, limits, judgement, found)
    registry.show(found, {"promotion.html": day.storage().read(result.page).decode()})
    return result


def integrity_of(day: Day, version: Version, trusted_keys: tuple[str, ...]) -> Integrity:
    """What verifying the sealed bundle, as it lies in the store, came to."""
    sealed = check_sealed(day, version.bundle, open_trust(day.storage(), trusted_keys))
    faults = () if sealed.fault is None else (sealed.fault,)
    return Integrity(faults, sealed.fault is None, sealed.signature, "sbom.json" in sealed.names)


def _keep(
    day: Day,
    settings: Settings,
    facts: Evidence,
    limits: Limits,
    judgement: Judgement,
    version: Version,
) -> Result:
    storage = day.storage()
    target = decision_path(version.bundle)
    page = page_path(version)
    decision = {
        "version": version.number,
        "author": settings.author,
        "evidence": facts.to_dict(),
        "limits": limits.to_dict(),
        **judgement.to_dict(),
    }
    content = to_json(decision)
    ledger = Ledger(storage, settings.name)
    if not storage.exists(target) or storage.read(target) != content:
        storage.write(target, content)
    note_limits(ledger, limits, settings.author, now)
    digest = hashlib.sha256(content).hexdigest()
    if not _told(ledger.entries(), version.number, digest):
        ledger.append(
            "judged",
            now(),
            version=version.number,
            by=settings.author,
            ds=day.ds,
            verdict=judgement.verdict,
            **look_of(facts),
            foreseen=foreseen(facts, limits),
            evidence=judgement.evidence_digest,
            decision=digest,
        )
    entries = ledger.entries()
    champion = _champion(day, settings, facts)
    with day.scratch("page") as scratch:
        view = promotion_view(
            day, settings.name, facts, limits, judgement, version, champion, entries, scratch
        )
    storage.write(page, render_promotion(view).encode())
    _publish(day, judgement, version, page)
    return Result(
        verdict=judgement.verdict, reasons=list(judgement.reasons), page=page, decision=target
    )


def _told(entries: list[dict[str, Any]], number: int, digest: str) -> bool:
    """Whether the ledger's last judgement of this version is this very decision."""
    judged = [e for e in entries if e["kind"] == "judged" and e["version"] == number]
    return bool(judged) and judged[-1].get("decision") == digest


def look_of(facts: Evidence) -> dict[str, Any]:
    """Which look this was, at which champion, and the level of its intervals."""
    value = facts.policy_value
    if value is None:
        return {}
    return {"look": value.looks, "level": value.level, "champion": facts.incumbent.version}


def _champion(day: Day, settings: Settings, facts: Evidence) -> Champion | None:
    """The champion that the evidence speaks of, with its bundle; None where it can't be read."""
    incumbent = facts.incumbent
    if not incumbent.is_champion or incumbent.version is None or incumbent.unreadable:
        return None
    registry = open_registry(day, settings.name, settings.tracking_uri)
    version = registry.get(int(facts.incumbent.version))
    return None if version is None else read_champion(day, version)


def _publish(day: Day, judgement: Judgement, version: Version, page: str) -> None:
    facts = {
        "attempt": day.attempt,
        "version": version.number,
        "verdict": judgement.verdict,
        "reasons": list(judgement.reasons),
        "bundle": version.bundle,
        "page": page,
        "next": next_command(judgement.verdict, version.number),
    }

    def change(was: dict[str, Any] | None) -> dict[str, Any]:
        assert was is not None, "a day is published before it is judged"
        return {**was, "run": facts}

    change_manifest(day.storage(), day.ds, change)


def next_command(verdict: str, version: int) -> str:
    """What a person does next."""
    if verdict == "PROMOTE":
        return (
            f'genco approve {version} --config FILE --reason "..." --as YOU, then '
            f"genco promote {version} --config FILE"
        )
    return f"open the promotion page; version {version} is not offered for approval"
