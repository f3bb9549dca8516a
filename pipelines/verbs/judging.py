"""`genco evaluate`, `gate explain`, `review`: how a version is judged, and on what that rests."""

from pathlib import Path
from typing import Annotated

import typer

from components.errors import WrongUse
from pipelines.verbs.day import EXIT
from pipelines.verbs.options import AsJson, ConfigFile, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (evaluate, gate, review):
        app.command()(command)


def evaluate(
    config: Annotated[Path | None, typer.Option("--config", help="YAML as in CONTRACT 7.")] = None,
    ds: Annotated[str | None, typer.Option("--ds", help="The day whose held-out bags.")] = None,
    version: Annotated[
        int | None, typer.Option("--version", help="Default: the one that came of the day.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="A bundle; with --bags.")] = None,
    bags: Annotated[
        Path | None, typer.Option("--bags", help="As score's, with propensity and clicks.")
    ] = None,
    elements: Annotated[Path | None, typer.Option("--elements", help="Catalog elements.")] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help="log, or a version (--bundle: a bundle)."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The evidence, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a policy is worth on logged rows: a version on a day's held-out bags, by every gate
    (--config, --ds; exit 0, 3 or 4 by the verdict), or a bundle on the rows of a file (--bundle,
    --bags; exit 3 where no row has a propensity). Changes nothing.
    """
    if bundle is not None and bags is not None and (config, ds, version) == (None, None, None):
        from pipelines import measuring

        told = measuring.measure(bundle, bags, elements, _bundle(against), out)
        say(told, as_json, measuring.words(told))
        raise typer.Exit(told["exit_code"])
    if config is None or ds is None or (bundle, bags, elements) != (None, None, None):
        raise WrongUse(
            "genco evaluate takes --config FILE --ds YYYY-MM-DD [--version V] for a version, or "
            "--bundle DIR --bags FILE [--elements FILE] for a bundle, not a mixture of both"
        )
    from pipelines import evaluating

    told = evaluating.evaluate(config, ds, version, against, out)
    say(told, as_json, evaluating.words(told))
    raise typer.Exit(EXIT[told["verdict"]])


def _bundle(against: str | None) -> Path | None:
    return None if against in (None, "log") else Path(against)


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
