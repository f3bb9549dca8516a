"""`genco doctor`, `reproduce`, `notify`: is what we rely on what it should be?"""

from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.verbs.options import AsJson, ConfigFile, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (doctor, reproduce, notify):
        app.command()(command)


def doctor(config: ConfigFile, as_json: AsJson = False) -> None:
    """Check packages, settings, store, ledger, aliases and the champion's bundle."""
    from pipelines.doctor import examine, is_clean

    found = examine(config)
    lines = [f"{one.status:<6} {one.check}: {one.sentence}" for one in found]
    clean = is_clean(found)
    say({"clean": clean, "checks": [asdict(one) for one in found]}, as_json, "\n".join(lines))
    if not clean:
        raise typer.Exit(1)


def reproduce(
    version: int,
    config: ConfigFile,
    force: Annotated[bool, typer.Option("--force", help="Compare other code or inputs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version again from its inputs, code and seed, and say whether it is the same."""
    from pipelines.reproducing import reproduce as again

    told = again(config, version, force)
    lines = [f"version {version}: {told['answer']}", *told["notes"], *told["differences"]]
    say(told, as_json, "\n".join(lines))
    if told["answer"] == "different":
        raise typer.Exit(1)


def notify(
    config: ConfigFile,
    listen: Annotated[bool, typer.Option("--listen", help="Take MLflow's webhooks.")] = False,
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port")] = 8093,
    subscribe: Annotated[
        str | None, typer.Option("--subscribe", help="URL that MLflow shall call; set once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell of aliases that were moved behind the ledger's back (MLflow's signed webhooks)."""
    from components.errors import WrongUse
    from pipelines import listening

    if subscribe:
        listening.subscribe(config, subscribe)
        say({"subscribed": subscribe}, as_json, f"MLflow will call {subscribe}")
    if listen:
        listening.listen(config, host, port)
    elif not subscribe:
        raise WrongUse("notify does nothing by itself; give --listen, or --subscribe URL")
