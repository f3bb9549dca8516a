"""`genco`: the stable command line (CONTRACT 6). Vendors are imported inside the commands."""

import json
import sys
import warnings

import typer

from components.errors import GencoError
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
        if "--json" in sys.argv:
            kind = "HELD" if error.exit_code == 3 else type(error).__name__.upper()
            typer.echo(json.dumps({"error": str(error), "kind": kind}))
        typer.echo(f"genco: {error}", err=True)
        sys.exit(error.exit_code)
