"""`genco dq`: a day's verdict, accounting and quarantine."""

from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.options import AsJson, ConfigFile, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (dq,):
        app.command()(command)


def dq(
    what: Annotated[str, typer.Argument(help="report, or show.")],
    ds: Annotated[str, typer.Option("--ds")],
    config: ConfigFile,
    rule: Annotated[str | None, typer.Option("--rule", help="Only rows of this rule.")] = None,
    limit: Annotated[int, typer.Option("--limit")] = 20,
    as_json: AsJson = False,
) -> None:
    """The day's verdict and accounting, or its quarantined rows with their reasons."""
    from pipelines import quality

    if what not in ("report", "show"):
        raise WrongUse(f"dq takes report or show, found {what!r}")
    told = quality.report(config, ds) if what == "report" else quality.show(config, ds, rule, limit)
    say(told, as_json, quality.words(told))
