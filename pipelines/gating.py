"""`genco gate explain` and `genco review`: a judged version's decision, read back for people."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.errors import WrongUse
from components.promotion import Desk, decision_path, page_path
from pipelines.deciding import open_desk
from validation.gate.decision import Decision
from validation.gate.evidence import Evidence
from validation.gate.explain import explain
from validation.gate.trees import from_tree, to_tree


def explained(config: Path, number: int) -> dict[str, Any]:
    """Verdict and, for every finding that did not pass, what would settle it."""
    decision = read_decision(open_desk(config, None), number)
    decisions = [from_tree(Decision, one, "decision") for one in decision["decisions"]]
    advice = explain(decisions, Evidence.from_dict(decision["evidence"]))
    return {
        "version": number,
        "verdict": decision["verdict"],
        "open": [to_tree(asdict(one)) for one in advice],
    }


def explained_words(told: dict[str, Any]) -> str:
    """The same for a terminal."""
    lines = [f"version {told['version']}: {told['verdict']}"]
    lines += [f"  - {one['gate']}: {one['sentence']}" for one in told["open"]]
    return "\n".join(lines if told["open"] else [*lines, "  every gate passed"])


def review(config: Path, number: int) -> dict[str, Any]:
    """Where the page lies, the verdict with its reasons, and the commands that decide."""
    desk = open_desk(config, None)
    decision = read_decision(desk, number)
    version = desk.registry.get(number)
    assert version is not None, "a version whose decision was just read"
    offered = decision["verdict"] == "PROMOTE"
    standing = desk.standing(number)
    return {
        "version": number,
        "ds": version.tags["genco.ds"],
        "verdict": decision["verdict"],
        "reasons": list(decision["reasons"]),
        "page": desk.storage.locate(page_path(version)),
        "started_by": decision["author"],
        "approved_by": standing["by"] if standing else None,
        "expires": standing["expires"] if standing else None,
        "commands": _commands(config, number, offered),
    }


def review_words(told: dict[str, Any]) -> str:
    """The same for a terminal."""
    lines = [f"version {told['version']} of ds={told['ds']}: {told['verdict']}"]
    lines += [f"  - {reason}" for reason in told["reasons"]]
    lines.append(f"page      {told['page']}")
    lines.append(f"started   by {told['started_by']}")
    if told["approved_by"]:
        lines.append(f"approved  by {told['approved_by']} until {told['expires']}")
    return "\n".join([*lines, *(f"next      {command}" for command in told["commands"])])


def read_decision(desk: Desk, number: int) -> dict[str, Any]:
    """The gates' decision on a version; WrongUse where it was never judged."""
    version = desk.registry.get(number)
    if version is None or not desk.storage.exists(decision_path(version.bundle)):
        raise WrongUse(
            f"version {number} was never judged here; `genco run` prints the version, `genco audit "
            "list` those that were judged"
        )
    return json.loads(desk.storage.read(decision_path(version.bundle)))


def _commands(config: Path, number: int, offered: bool) -> list[str]:
    reject = f'genco reject {number} --config {config} --reason "..." --as YOU'
    if not offered:
        return [f"genco gate explain {number} --config {config}", reject]
    approve = f'genco approve {number} --config {config} --reason "..." --as YOU'
    return [approve, f"genco promote {number} --config {config} --as YOU", reject]
