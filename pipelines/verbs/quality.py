"""`genco dq`: a day's verdict, accounting and quarantine, and rows released from it."""

from pathlib import Path
from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.options import AsJson, ConfigFile, Name, say

WHAT = ("report", "ls", "show", "release")
Code = Annotated[
    str | None, typer.Option("--rule", "--reason-code", help="Only rows of this rule.")
]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (dq,):
        app.command()(command)


def dq(
    what: Annotated[str, typer.Argument(help="report, ls, show or release.")],
    config: ConfigFile,
    ds: Annotated[str | None, typer.Option("--ds", help="The day (ls: every day).")] = None,
    rule: Code = None,
    file: Annotated[str | None, typer.Option("--file", help="Only rows of this log file.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="show: rows printed.")] = 20,
    out: Annotated[
        Path | None, typer.Option("--out", help="show: write the rows as they came, to repair.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="release: why.")] = None,
    fixed: Annotated[
        Path | None, typer.Option("--fixed", help="release: the same rows repaired, JSON Lines.")
    ] = None,
    waive: Annotated[
        bool, typer.Option("--waive", help="release: the rows as they came, the rule waived.")
    ] = False,
    who: Name = None,
    as_json: AsJson = False,
) -> None:
    """A day's verdict and accounting, days with quarantined rows, these rows, or their release."""
    from pipelines import quality, releasing

    if what not in WHAT:
        raise WrongUse(f"dq takes {', '.join(WHAT)}, found {what!r}")
    if what == "ls":
        told = quality.listing(config, ds)
        return say(told, as_json, quality.words(told))
    if ds is None:
        raise WrongUse(f"dq {what} needs --ds, the day")
    if what == "release":
        wanted = releasing.Wanted(ds, rule, file, reason or "", fixed, waive)
        told = releasing.release(config, wanted, who)
        return say(told, as_json, releasing.words(told))
    told = (
        quality.report(config, ds)
        if what == "report"
        else quality.show(config, ds, rule, limit, file, out)
    )
    return say(told, as_json, quality.words(told))
