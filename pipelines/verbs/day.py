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
    runner: Annotated[str, typer.Option("--runner", help="local, kfp or cluster.")] = "local",
    rebaseline: Annotated[
        str | None,
        typer.Option("--rebaseline", help="Why a champion that can't be read is passed over."),
    ] = None,
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
    summary = running.run(config, ds, until, runner, rebaseline)
    say(asdict(summary), as_json, running.told(summary))
    raise typer.Exit(EXIT.get(summary.verdict or "PROMOTE", 1))


def simulate(
    what: Annotated[
        str, typer.Argument(help="shop: write logs; loop: policies that learn.")
    ] = "shop",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for what is written.")] = None,
    days: Annotated[int | None, typer.Option("--days", help="Default: 7; loop: 20.")] = None,
    ds: Annotated[str, typer.Option("--ds", help="The last day.")] = "2026-11-22",
    impressions: Annotated[
        int | None, typer.Option("--impressions", help="In all (200,000); loop: a day (20,000).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The shop, or the first of them.")] = 0,
    seeds: Annotated[int, typer.Option("--seeds", help="Shops of the loop.", min=1)] = 1,
    products: Annotated[int, typer.Option("--products", help="Of the loop's shop.", min=1)] = 10,
    as_json: AsJson = False,
) -> None:
    """Write days of the simulated shop, or close the loop in it: `genco simulate loop`."""
    from pipelines import simulating

    if what == "loop":
        found = simulating.loop(
            out,
            days or 20,
            range(seed, seed + seeds),
            products,
            impressions or 20_000,
            lambda line: typer.echo(line, err=True),
        )
        say(found, as_json, simulating.loop_words(found))
        return
    if what != "shop" or out is None:
        raise WrongUse(
            f"genco simulate {what} --out {out}: expected `genco simulate --out FOLDER` for logs, or "
            "`genco simulate loop [--days 20] [--seeds 5] [--out FOLDER]`"
        )
    told = simulating.write_shop(out, days or 7, ds, impressions or 200_000, seed)
    say(told, as_json, simulating.words(told))
