"""A tiny source taken to its verdict through `genco`, and what was said and kept of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tiny_logs import DS
from typer.testing import CliRunner

from pipelines import cli

CONFIG = """\
name: tiny
logs: {root}/logs
catalog: {root}/catalog
store: {root}/store
slots: [title, image]
context: {{device: categorical, hour: number}}
window_days: 3
"""


@dataclass(frozen=True)
class Told:
    """What a call of `genco` came to: exit code and what it printed."""

    code: int
    said: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.said.strip().splitlines()[-1])


def genco(*arguments: str) -> Told:
    """The command line in this process, its errors turned into codes as `main` does."""
    from components.errors import GencoError

    outcome = CliRunner().invoke(cli.app, list(arguments))
    if isinstance(outcome.exception, GencoError):
        return Told(outcome.exception.exit_code, str(outcome.exception))
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return Told(outcome.exit_code, outcome.output)


def write_config(root: Path, more: str = "") -> Path:
    file = root / "tiny.yaml"
    file.write_text(CONFIG.format(root=root) + more)
    return file


def validated(root: Path, ds: str = DS, more: str = "") -> Told:
    config = write_config(root, more)
    return genco("run", "--ds", ds, "--config", str(config), "--until", "validate_logs", "--json")


def shown(root: Path, rule: str) -> Told:
    return genco("dq", "show", "--ds", DS, "--config", str(root / "tiny.yaml"), "--rule", rule)


def bags(root: Path, folder: str = "") -> set[str]:
    """Ids of the fit bags of the attempt judged last."""
    manifest = json.loads((root / "store/manifests" / folder / f"ds={DS}.json").read_text())
    (entry,) = manifest["tables"]["bags"]
    return set(pq.ParquetFile(root / "store" / entry["path"]).read()["bag_id"].to_pylist())


GOOD = {f"{DS}-i{n}" for n in range(60)}


def add(root: Path, name: str, content: bytes, kind: str = "impressions") -> str:
    target = root / "logs" / kind / f"dt={DS}" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return f"{kind}/dt={DS}/{name}"
