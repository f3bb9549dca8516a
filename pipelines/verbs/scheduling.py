"""`genco backfill`, `schedule`: many days, and every day."""

from pathlib import Path
from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.options import AsJson, ConfigFile, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (backfill, schedule):
        app.command()(command)


def backfill(
    config: ConfigFile,
    first: Annotated[str, typer.Option("--from", help="The oldest day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="The newest day, YYYY-MM-DD.")],
    at_most: Annotated[int, typer.Option("--max-parallel", min=1, help="Days at once.")] = 1,
    force: Annotated[
        list[str] | None,
        typer.Option("--force", help="A published day to judge again; once for each."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run every day that is not published yet, oldest first, each in a process of its own."""
    from pipelines import backfill as days

    ended = days.backfill(
        config, first, last, at_most, force or [], lambda line: typer.echo(line, err=True)
    )
    say(days.to_dict(ended), as_json, days.words(ended))
    raise typer.Exit(days.worst(ended))


def schedule(
    what: Annotated[str, typer.Argument(help="plan: say what apply would do; apply: do it.")],
    file: Annotated[Path, typer.Option("--file", help="YAML of the recurring runs.")],
    as_json: AsJson = False,
) -> None:
    """Keep Kubeflow's recurring runs equal to a declared file."""
    from pipelines import scheduling

    if what not in ("plan", "apply"):
        raise WrongUse(f"schedule takes plan or apply, found {what!r}")
    if what == "plan":
        found = scheduling.plan(file)
    else:
        found = scheduling.apply(file, lambda line: typer.echo(line, err=True))
    say(scheduling.to_dict(found), as_json, scheduling.words(found))
