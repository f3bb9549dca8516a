"""The daily graph as the YAML that a Kubeflow cluster takes."""

import argparse
from pathlib import Path


def compile_daily(target: Path) -> Path:
    """Writes the pipeline's YAML (IR and platform parts) and returns its path."""
    from kfp import compiler

    from pipelines.daily import daily

    target.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(daily, package_path=str(target))
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/genco-daily.yaml"))
    written = compile_daily(parser.parse_args().out)
    print(f"{written} ({written.stat().st_size:,} bytes)")
