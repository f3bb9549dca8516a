"""`genco run` and `simulate`: the whole day, and days to run it on."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.options import AsJson, say

EXIT = {"PROMOTE": 0, "UNCHANGED": 0, "HOLD": 3, "REJECT": 4, "BLOCKED": 4}


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (run, simulate):
        app.command()(command)


def run(
    ds: Annotated[str, typer.Option("--ds", help="The day, YYYY-MM-DD.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="YAML as in CONTRACT 7.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Stop after this stage.")] = None,
    runner: Annotated[str, typer.Option("--runner", help="local or kfp.")] = "local",
    schema: Annotated[bool, typer.Option("--schema", help="Print the config's schema.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do the whole day: logs -> bags -> features -> models -> judgement -> policy."""
    from pipelines import running

    if schema:
        typer.echo(running.schema())
        return
    if not ds or config is None:
        raise WrongUse("genco run needs --ds YYYY-MM-DD and --config FILE")
    summary = running.run(config, ds, until, runner)
    say(asdict(summary), as_json, running.told(summary))
    raise typer.Exit(EXIT.get(summary.verdict or "PROMOTE", 1))


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder for logs, catalog and truth.")],
    days: Annotated[int, typer.Option("--days")] = 7,
    ds: Annotated[str, typer.Option("--ds", help="The last day.")] = "2026-11-22",
    impressions: Annotated[int, typer.Option("--impressions", help="In all.")] = 200_000,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write days of logs and a catalog of the simulated shop, whose truth is known."""
    from pipelines import simulating

    told = simulating.write_shop(out, days, ds, impressions, seed)
    say(told, as_json, simulating.words(told))
