"""`genco score`, `recommend`, `explain`: questions to a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.verbs.options import AsJson, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (score, recommend, explain):
        app.command()(command)


def score(
    bundle: Annotated[Path, typer.Option("--bundle")],
    bags: Annotated[Path, typer.Option("--bags", help="product_id, context, creative.")],
    out: Annotated[Path, typer.Option("--out")],
    elements: Annotated[Path | None, typer.Option("--elements", help="Catalog elements.")] = None,
    as_json: AsJson = False,
) -> None:
    """Predict clicks and conversions of combinations, and what each element contributes."""
    from pipelines import scoring

    told = scoring.score(bundle, bags, elements, out)
    say(told, as_json, f"{told['rows']:,} rows scored into {out}")


def recommend(
    bundle: Annotated[Path, typer.Option("--bundle")],
    requests: Annotated[Path, typer.Option("--requests", help="product_id, context.")],
    out: Annotated[Path, typer.Option("--out")],
    elements: Annotated[Path | None, typer.Option("--elements", help="Catalog elements.")] = None,
    combinations: Annotated[Path | None, typer.Option("--combinations")] = None,
    forbidden: Annotated[Path | None, typer.Option("--forbidden")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Combinations a request.")] = 5,
    every: Annotated[bool, typer.Option("--all", help="Every allowed combination.")] = False,
    as_json: AsJson = False,
) -> None:
    """The combinations that the policy shows most often for each request."""
    from pipelines import scoring

    told = scoring.recommend(
        bundle, requests, elements, combinations, forbidden, out, None if every else k
    )
    say(told, as_json, f"{told['rows']:,} rows for {told['requests']:,} requests into {out}")


def explain(
    bundle: Annotated[Path, typer.Option("--bundle")],
    product: Annotated[str, typer.Option("--product", help="A product of the bundle.")],
    as_json: AsJson = False,
) -> None:
    """A product's elements ranked by what they earn of 1,000 displays, with 95 % intervals."""
    from pipelines import explaining

    told = explaining.explain(bundle, product)
    say(told, as_json, explaining.explained_words(told))
