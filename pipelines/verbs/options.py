"""What the commands share: their options, and how they answer."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="YAML as in CONTRACT 7.")]
Name = Annotated[str | None, typer.Option("--as", help="Who acts (default: GENCO_IDENTITY).")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]


def say(value: Any, as_json: bool, text: str) -> None:
    """Prints the value as one JSON object, or the text for a person."""
    typer.echo(json.dumps(value, default=str) if as_json else text)
