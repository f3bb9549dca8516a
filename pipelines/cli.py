"""`genco`: the stable command line (CONTRACT 6). Vendors are imported inside the commands."""

import json
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from components.errors import GencoError, WrongUse

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Learns every day which combination of ad elements to show.",
)
EXIT = {"PROMOTE": 0, "UNCHANGED": 0, "HOLD": 3, "REJECT": 4, "BLOCKED": 4}

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="YAML as in CONTRACT 7.")]
Name = Annotated[str | None, typer.Option("--as", help="Who acts (default: GENCO_IDENTITY).")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]


def say(value: Any, as_json: bool, text: str) -> None:
    """Prints the value as one JSON object, or the text for a person."""
    typer.echo(json.dumps(value, default=str) if as_json else text)


@app.command()
def run(
    ds: Annotated[str, typer.Option("--ds", help="The day, YYYY-MM-DD.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="YAML as in CONTRACT 7.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Stop after this stage.")] = None,
    runner: Annotated[str, typer.Option("--runner", help="local or kfp.")] = "local",
    schema: Annotated[bool, typer.Option("--schema", help="Print the config's schema.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do the whole day: logs -> bags -> features -> models -> judgement -> policy."""
    from pipelines import running

    if schema:
        typer.echo(running.schema())
        return
    if not ds or config is None:
        raise WrongUse("genco run needs --ds YYYY-MM-DD and --config FILE")
    summary = running.run(config, ds, until, runner)
    say(asdict(summary), as_json, running.told(summary))
    raise typer.Exit(EXIT.get(summary.verdict or "PROMOTE", 1))


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder for logs, catalog and truth.")],
    days: Annotated[int, typer.Option("--days")] = 7,
    ds: Annotated[str, typer.Option("--ds", help="The last day.")] = "2026-11-22",
    impressions: Annotated[int, typer.Option("--impressions", help="In all.")] = 200_000,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write days of logs and a catalog of the simulated shop, whose truth is known."""
    from pipelines import simulating

    told = simulating.write_shop(out, days, ds, impressions, seed)
    say(told, as_json, simulating.words(told))


@app.command()
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


@app.command()
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


@app.command()
def explain(
    bundle: Annotated[Path, typer.Option("--bundle")],
    product: Annotated[str, typer.Option("--product")],
    as_json: AsJson = False,
) -> None:
    """A product's elements ranked by what they contribute."""
    from pipelines import scoring

    rows = scoring.explain(bundle, product)
    lines = [
        f"{r['slot']:<12} {r['element_id']:<28} {r['contribution']:+.3f}  "
        f"{r['per_1000']:+7.2f} per 1,000  {r['text'][:50]}"
        for r in rows
    ]
    say({"product_id": product, "elements": rows}, as_json, "\n".join(lines))


@app.command()
def approve(
    version: int, config: ConfigFile, reason: Reason, who: Name = None, as_json: AsJson = False
) -> None:
    """Approve the promotion of a version, on the evidence as it stands."""
    from pipelines import deciding

    entry = deciding.open_desk(config, who).approve(version, reason)
    say(entry, as_json, f"version {version} approved by {entry['by']} until {entry['expires']}")


@app.command()
def reject(
    version: int, config: ConfigFile, reason: Reason, who: Name = None, as_json: AsJson = False
) -> None:
    """Refuse the promotion of a version."""
    from pipelines import deciding

    entry = deciding.open_desk(config, who).reject(version, reason)
    say(entry, as_json, f"version {version} rejected by {entry['by']}")


@app.command()
def promote(version: int, config: ConfigFile, who: Name = None, as_json: AsJson = False) -> None:
    """Make an approved version the champion and publish its policy."""
    from pipelines import deciding

    entry = deciding.promote(config, who, version)
    say(entry, as_json, f"version {version} is champion; its policy is published")


@app.command()
def rollback(
    config: ConfigFile,
    reason: Reason,
    to: Annotated[str, typer.Option("--to", help="previous, or a version.")] = "previous",
    who: Name = None,
    as_json: AsJson = False,
) -> None:
    """Go back to a version that once was champion; needs no approval."""
    from pipelines import deciding

    entry = deciding.rollback(config, who, to, reason)
    say(entry, as_json, f"version {entry['version']} is champion again; its policy is published")


@app.command()
def audit(
    what: Annotated[str, typer.Argument(help="verify, or list.")],
    config: ConfigFile,
    as_json: AsJson = False,
) -> None:
    """Recompute the ledger's chain, or list its entries."""
    from pipelines import deciding

    if what not in ("verify", "list"):
        raise WrongUse(f"audit takes verify or list, found {what!r}")
    entries = deciding.open_desk(config, None).entries()
    lines = [f"{e['number']:>4} {e['at']} {e['kind']:<10} v{e.get('version')}" for e in entries]
    text = f"{len(entries)} entries, chain whole" if what == "verify" else "\n".join(lines)
    say({"entries": entries if what == "list" else len(entries)}, as_json, text)


@app.command()
def dq(
    what: Annotated[str, typer.Argument(help="report, or show.")],
    ds: Annotated[str, typer.Option("--ds")],
    config: ConfigFile,
    rule: Annotated[str | None, typer.Option("--rule", help="Only rows of this rule.")] = None,
    limit: Annotated[int, typer.Option("--limit")] = 20,
    as_json: AsJson = False,
) -> None:
    """The day's verdict and accounting, or its quarantined rows with their reasons."""
    from pipelines import quality

    if what not in ("report", "show"):
        raise WrongUse(f"dq takes report or show, found {what!r}")
    told = quality.report(config, ds) if what == "report" else quality.show(config, ds, rule, limit)
    say(told, as_json, quality.words(told))


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
