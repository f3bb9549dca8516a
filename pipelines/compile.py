"""The daily graph as the YAML that a Kubeflow cluster takes."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from pipelines.placement import Step


def compile_daily(target: Path, steps: Mapping[str, Step] | None = None) -> Path:
    """Writes the pipeline's YAML (IR and platform parts), pods as `steps` says; returns its path."""
    from kfp import compiler

    from pipelines.daily import graph

    target.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(graph(steps or {}), package_path=str(target))
    return target


def main() -> None:
    """`make compile`: with --config the pods are as that config says."""
    from pipelines.config import load_config

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/genco-daily.yaml"))
    parser.add_argument("--config", type=Path)
    asked = parser.parse_args()
    steps = load_config(asked.config).pods() if asked.config else {}
    written = compile_daily(asked.out, steps)
    print(f"{written} ({written.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
