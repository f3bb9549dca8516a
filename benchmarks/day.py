"""A day of 200,000 impressions in a process of its own: seconds by stage and peak memory.

The bare minimum beside it: the time that numpy needs to read and sum the same logs.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """\
name: bench
logs: {root}/logs
catalog: {root}/catalog
store: {root}/store
slots: [title, image, highlight, tag]
context: {{placement: categorical, device: categorical, segment: categorical, hour: number}}
holdout: {{days: 2}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impressions", type=int, default=200_000)
    parser.add_argument("--runner", default="local")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genco-bench-") as folder:
        root = Path(folder)
        make = ["examples.storefront", "--out", folder, "--impressions", str(asked.impressions)]
        subprocess.run([sys.executable, "-m", *make], check=True, stdout=subprocess.DEVNULL)
        (root / "shop.yaml").write_text(CONFIG.format(root=root))
        genco = Path(sys.executable).with_name("genco")
        began = time.perf_counter()
        answer = subprocess.run(
            [
                genco,
                "run",
                "--ds",
                "2026-11-22",
                "--config",
                root / "shop.yaml",
                "--json",
                "--runner",
                asked.runner,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        whole = time.perf_counter() - began
    if not answer.stdout:
        sys.exit(answer.stderr)
    summary = json.loads(answer.stdout.splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    stages = sum(summary["seconds"].values())
    print(f"{asked.impressions:,} impressions, verdict {summary['verdict']}")
    for stage, seconds in summary["seconds"].items():
        print(f"{stage:<22} {seconds:>8.1f} s  {seconds / stages:>6.1%} of the day")
    print(f"{'whole process':<22} {whole:>8.1f} s  {whole / stages:>6.2f} x the stages")
    print(f"{'peak memory':<22} {peak:>8.2f} GiB")


if __name__ == "__main__":
    main()
