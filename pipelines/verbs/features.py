"""`genco features`: what is registered, what is served, and how old it is."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.options import AsJson, ConfigFile, say

WHAT = ("plan", "apply", "materialize", "freshness")


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (features,):
        app.command()(command)


def features(
    what: Annotated[str, typer.Argument(help="plan, apply, materialize or freshness.")],
    config: ConfigFile,
    ds: Annotated[
        str | None, typer.Option("--ds", help="Tables of this day's run (default: the newest).")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="materialize: events from this day on.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="materialize: until the end of this day (--ds).")
    ] = None,
    view: Annotated[
        list[str] | None, typer.Option("--view", help="materialize: only these; once for each.")
    ] = None,
    chunk: Annotated[
        int, typer.Option("--chunk", min=1, help="materialize: keys written at once.")
    ] = 20_000,
    limit: Annotated[
        float, typer.Option("--limit-hours", min=0, help="freshness: older is stale.")
    ] = 36.0,
    at: Annotated[
        str | None, typer.Option("--at", help="freshness: as of this time in UTC, not now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What apply would change, do it, fill the online store, or say how old and how equal it is.

    freshness exits 3 where a view is stale or empty, 4 where online differs from offline.
    """
    from pipelines import features as feast

    if what not in WHAT:
        raise WrongUse(f"features takes {', '.join(WHAT)}, found {what!r}")
    if what in ("plan", "apply"):
        told = feast.plan(config) if what == "plan" else feast.apply(config)
    elif what == "materialize":
        told = feast.materialize(
            config, ds, first, last, view or [], chunk, lambda line: typer.echo(line, err=True)
        )
    else:
        told = feast.freshness(config, ds, limit, _moment(at))
    say(told, as_json, feast.words(told))
    raise typer.Exit(told.get("exit_code", 0))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"--at {text!r} is no time; expected for example 2026-11-23T03:00") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
