"""A day of 200,000 impressions, each runner in a process of its own: seconds by stage, peak memory,
and the framework's share: everything but the stages' own work (starting processes, imports, KFP's
runner, the command line), which shall stay under a quarter.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = """\
name: bench
logs: {root}/logs
catalog: {root}/catalog
store: {root}/store-{runner}
slots: [title, image, highlight, tag]
context: {{placement: categorical, device: categorical, segment: categorical, hour: number}}
holdout: {{days: 2}}
"""
DS = "2026-11-22"
AIM = 0.25


@dataclass(frozen=True)
class Timed:
    """A day through one runner: its summary, seconds of the whole process, peak GiB of any one."""

    summary: dict[str, Any]
    seconds: float
    peak: float

    @property
    def stages(self) -> dict[str, float]:
        """Seconds of each stage's own work."""
        return {name: took for name, took in self.summary["seconds"].items() if name != "kfp"}

    @property
    def framework(self) -> float:
        """The share of the process's time that was no stage's work."""
        return 1 - sum(self.stages.values()) / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impressions", type=int, default=200_000)
    parser.add_argument("--runner", default="local,kfp", help="local, kfp, or both with a comma")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genco-bench-") as folder:
        make = ["examples.storefront", "--out", folder, "--impressions", str(asked.impressions)]
        subprocess.run([sys.executable, "-m", *make], check=True, stdout=subprocess.DEVNULL)
        for runner in asked.runner.split(","):
            told = timed(Path(folder), runner)
            print(f"{asked.impressions:,} impressions, {words(told, runner)}", flush=True)


def timed(root: Path, runner: str) -> Timed:
    """The day done once, from nothing."""
    config = root / f"{runner}.yaml"
    config.write_text(CONFIG.format(root=root, runner=runner))
    genco = str(Path(sys.executable).with_name("genco"))
    words = [genco, "run", "--ds", DS, "--config", str(config), "--json", "--runner", runner]
    began = time.perf_counter()
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - began
    if not answer.stdout:
        sys.exit(answer.stderr)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return Timed(json.loads(answer.stdout.splitlines()[-1]), whole, peak)


def words(told: Timed, runner: str) -> str:
    """The day's table for a person."""
    lines = [f"runner {runner}, verdict {told.summary['verdict']}"]
    for stage, seconds in told.stages.items():
        lines.append(f"{stage:<22} {seconds:>8.1f} s  {seconds / told.seconds:>6.1%}")
    rest = told.seconds - sum(told.stages.values())
    kept = "under" if told.framework < AIM else "over"
    lines.append(f"{'framework':<22} {rest:>8.1f} s  {told.framework:>6.1%}, {kept} {AIM:.0%}")
    lines.append(f"{'whole process':<22} {told.seconds:>8.1f} s")
    lines.append(f"{'peak of a process':<22} {told.peak:>8.2f} GiB")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
