"""The daily graph as the YAML that a Kubeflow cluster takes."""

import argparse
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from pipelines.placement import Step

_STEPS = TypeAdapter(dict[str, Step])


def compile_daily(target: Path, steps: Mapping[str, Step] | None = None) -> Path:
    """Writes the pipeline's YAML (IR and platform parts), pods as `steps` says; returns its path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(compiled_yaml(steps or {}))
    return target


def compiled_yaml(steps: Mapping[str, Step]) -> bytes:
    """What `compile_daily` writes; kept by process: KFP looks at the whole call stack with every
    setting of a task, which takes 0.15 s by itself and seconds under a deep stack."""
    return _compiled(_STEPS.dump_json(dict(sorted(steps.items()))))


@lru_cache(maxsize=16)
def _compiled(steps: bytes) -> bytes:
    from kfp import compiler

    from pipelines.daily import graph

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "daily.yaml")
        daily = graph(_STEPS.validate_json(steps))
        compiler.Compiler().compile(daily, package_path=str(target))
        return target.read_bytes()


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
