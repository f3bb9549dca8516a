"""`genco approve`, `reject`, `promote`, `rollback`, `audit`: people's decisions on versions."""

from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.options import AsJson, ConfigFile, Name, Reason, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (approve, reject, promote, rollback, audit):
        app.command()(command)


def approve(
    version: int, config: ConfigFile, reason: Reason, who: Name = None, as_json: AsJson = False
) -> None:
    """Approve the promotion of a version, on the evidence as it stands."""
    from pipelines import deciding

    entry = deciding.open_desk(config, who).approve(version, reason)
    say(entry, as_json, f"version {version} approved by {entry['by']} until {entry['expires']}")


def reject(
    version: int, config: ConfigFile, reason: Reason, who: Name = None, as_json: AsJson = False
) -> None:
    """Refuse the promotion of a version."""
    from pipelines import deciding

    entry = deciding.open_desk(config, who).reject(version, reason)
    say(entry, as_json, f"version {version} rejected by {entry['by']}")


def promote(version: int, config: ConfigFile, who: Name = None, as_json: AsJson = False) -> None:
    """Make an approved version the champion and publish its policy."""
    from pipelines import deciding

    entry = deciding.promote(config, who, version)
    say(entry, as_json, f"version {version} is champion; its policy is published")


def rollback(
    config: ConfigFile,
    reason: Reason,
    to: Annotated[str, typer.Option("--to", help="previous, or a version.")] = "previous",
    who: Name = None,
    as_json: AsJson = False,
) -> None:
    """Go back to a version that once was champion; needs no approval."""
    from pipelines import deciding

    entry = deciding.rollback(config, who, to, reason)
    say(entry, as_json, f"version {entry['version']} is champion again; its policy is published")


def audit(
    what: Annotated[str, typer.Argument(help="verify, list, or who.")],
    config: ConfigFile,
    at: Annotated[str | None, typer.Option("--at", help="who: a time, ISO 8601, UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the ledger's chain, list its entries, or say which version served at a time."""
    from pipelines import auditing

    if what not in ("verify", "list", "who"):
        raise WrongUse(f"audit takes verify, list or who, found {what!r}")
    entries = auditing.entries_of(config)
    if what == "who":
        told = auditing.who(entries, at)
        return say(told, as_json, told["sentence"])
    lines = [f"{e['number']:>4} {e['at']} {e['kind']:<10} v{e.get('version')}" for e in entries]
    text = auditing.whole(entries) if what == "verify" else "\n".join(lines)
    say({"entries": entries if what == "list" else len(entries)}, as_json, text)
