"""`genco inbox`: decide from a browser."""

import json
from pathlib import Path
from typing import Annotated

import typer

from components.errors import WrongUse


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(inbox)


def inbox(
    config: Annotated[Path | None, typer.Option("--config", help="YAML as in CONTRACT 7.")] = None,
    users: Annotated[
        Path | None, typer.Option("--users", help="JSON of names and hashes (GENCO_INBOX_USERS).")
    ] = None,
    add_user: Annotated[
        str | None, typer.Option("--add-user", help="Print an entry for that file.")
    ] = None,
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port")] = 8081,
) -> None:
    """Serve what waits for a person: versions to approve or reject, quarantined days."""
    from pipelines.inbox.serving import entry, serve

    if add_user is not None:
        password = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
        typer.echo(json.dumps(entry(add_user, password)))
        return
    if config is None:
        raise WrongUse("genco inbox needs --config FILE")
    serve(config, users, host, port)
