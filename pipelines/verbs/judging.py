"""`genco gate explain` and `genco review`: what a version's judgement rests on."""

from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.options import AsJson, ConfigFile, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (gate, review):
        app.command()(command)


def gate(
    what: Annotated[str, typer.Argument(help="explain.")],
    version: Annotated[int, typer.Argument(help="A judged version.")],
    config: ConfigFile,
    as_json: AsJson = False,
) -> None:
    """What would settle each finding of a version that did not pass."""
    from pipelines import gating

    if what != "explain":
        raise WrongUse(f"gate takes explain, found {what!r}")
    told = gating.explained(config, version)
    say(told, as_json, gating.explained_words(told))


def review(version: int, config: ConfigFile, as_json: AsJson = False) -> None:
    """Where a version's page lies, why it was judged so, and the commands that decide."""
    from pipelines import gating

    told = gating.review(config, version)
    say(told, as_json, gating.review_words(told))
