"""`genco serve`: the champion's policy over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.verbs.options import ConfigFile


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(serve)


def serve(
    config: ConfigFile,
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port")] = 8082,
    log_to: Annotated[
        Path | None,
        typer.Option("--log-to", help="Folder of the impressions (default: work/served)."),
    ] = None,
    poll: Annotated[
        float, typer.Option("--poll", help="Seconds between looks at who is champion.")
    ] = 15.0,
    queue: Annotated[int, typer.Option("--queue", help="Requests that may wait.")] = 512,
    batch: Annotated[int, typer.Option("--batch", help="Requests answered together.")] = 64,
    rotate_seconds: Annotated[
        float, typer.Option("--rotate-seconds", help="Age at which a log file is closed.")
    ] = 300.0,
    rotate_rows: Annotated[
        int, typer.Option("--rotate-rows", help="Rows at which a log file is closed.")
    ] = 100_000,
) -> None:
    """Serve the champion's policy: /recommend, /health, /version, /metrics."""
    from pipelines.serving.counter import Limits
    from pipelines.serving.impressions import Rotation
    from pipelines.serving.running import Options
    from pipelines.serving.running import serve as run

    limits, rotation = Limits(queue, batch, poll), Rotation(rotate_rows, rotate_seconds)
    run(config, Options(host, port, log_to, limits, rotation))
