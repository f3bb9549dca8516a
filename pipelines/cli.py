"""`genco`: the stable command line (CONTRACT 6). Vendors are imported inside the commands."""

import json
import sys
import warnings
from typing import NoReturn

import typer

from components.disk import is_full
from components.errors import Failed, GencoError
from pipelines.verbs import (
    asking,
    day,
    deciding,
    features,
    inbox,
    judging,
    quality,
    scheduling,
    serve,
    trust,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Learns every day which combination of ad elements to show.",
)
TOPICS = (
    day,
    asking,
    deciding,
    features,
    inbox,
    judging,
    quality,
    scheduling,
    serve,
    trust,
)
for topic in TOPICS:
    topic.register(app)


def main() -> None:
    """Runs a command; an expected failure is one sentence on stderr and its exit code."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # vendors' housekeeping is not for the people on call
    try:
        app(standalone_mode=True)
    except GencoError as error:
        _end(error)
    except Exception as error:
        told = of_the_machine(error)
        if told is None:
            raise
        _end(told)


def of_the_machine(error: Exception) -> Failed | None:
    """What a full disk, or a file that can't be used, is told as; None for anything else."""
    if is_full(error):
        said = " ".join(str(error).split())[:160]
        return Failed(f"a disk is full ({said}); make room and run the same command again")
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return Failed(
            f"cannot use {error.filename}: {error.strerror}; check that the path is right, is "
            "there, and belongs to whoever runs this"
        )
    return None


def _end(error: GencoError) -> NoReturn:
    if "--json" in sys.argv:
        kind = "HELD" if error.exit_code == 3 else type(error).__name__.upper()
        typer.echo(json.dumps({"error": str(error), "kind": kind}))
    typer.echo(f"genco: {error}", err=True)
    sys.exit(error.exit_code)
