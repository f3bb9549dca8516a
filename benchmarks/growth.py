"""Processor seconds of a day's stages as its window grows, and what that means on paper.

Each size is a day done from nothing in a process of its own, so every day of the window is read.
Processor seconds (of all threads) are what a day costs, and hardly depend on what else the machine
does; gate_promotion asks the serving image in a process of its own, which is not counted. What a
further million costs is taken between the two largest sizes; beyond them everything is
extrapolated in a straight line, as if one machine's memory and disk had no end. See docs/scale.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.day import CONFIG, DS

SIZES = (50_000, 100_000, 200_000)
WINDOW = 28  # days that the default config learns from
ON_PAPER = (100_000_000, 10_000_000_000)  # impressions a day
OF_A_DAY = frozenset(
    {"ingest_logs", "validate_logs"}
)  # made once a day; the others read the window


@dataclass(frozen=True)
class Cost:
    """A day done from nothing: processor seconds of each stage, and the peak GiB of its process."""

    stages: dict[str, float]
    peak: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--keep", type=Path, help="JSON file of sizes measured before; added to.")
    asked = parser.parse_args()
    told = read_kept(asked.keep)
    for size in map(int, asked.sizes.split(",")):
        if size in told:
            continue
        with tempfile.TemporaryDirectory(prefix="genco-growth-") as folder:
            make = ["examples.storefront", "--out", folder, "--impressions", str(size)]
            subprocess.run([sys.executable, "-m", *make], check=True, stdout=subprocess.DEVNULL)
            told[size] = cost_of(Path(folder))
        if asked.keep is not None:
            kept = {str(one): asdict(cost) for one, cost in told.items()}
            asked.keep.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(told))
    print(paper(told))


def read_kept(file: Path | None) -> dict[int, Cost]:
    """Costs by size as an earlier call wrote them; empty where there is no such file."""
    if file is None or not file.is_file():
        return {}
    return {int(size): Cost(**cost) for size, cost in json.loads(file.read_text()).items()}


def cost_of(root: Path) -> Cost:
    """What the day's own log and the operating system say of it."""
    config = root / "bench.yaml"
    config.write_text(CONFIG.format(root=root, runner="local"))
    genco = str(Path(sys.executable).with_name("genco"))
    process = subprocess.Popen(
        [genco, "run", "--ds", DS, "--config", str(config)],
        env={**os.environ, "GENCO_LOG": "json"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = [json.loads(line) for line in process.stderr if line.startswith('{"at"')]
    _, _, used = os.wait4(process.pid, 0)
    ended = [line for line in lines if line["event"] == "complete"]
    return Cost({line["stage"]: line["cpu_seconds"] for line in ended}, used.ru_maxrss / 2**20)


def table(told: Mapping[int, Cost]) -> str:
    """Processor seconds by stage and size, and what a further million impressions cost."""
    sizes = sorted(told)
    head = "".join(f"{size:>11,}" for size in sizes)
    lines = [f"{'processor seconds at':<22}{head}{'a further million':>20}"]
    for stage in told[sizes[0]].stages:
        row = [told[size].stages[stage] for size in sizes]
        shown = "".join(f"{seconds:>11.1f}" for seconds in row)
        lines.append(f"{stage:<22}{shown}{1e6 * slope(sizes, row):>20.1f}")
    row = [told[size].peak for size in sizes]
    shown = "".join(f"{peak:>11.2f}" for peak in row)
    return "\n".join([*lines, f"{'peak GiB':<22}{shown}{1e6 * slope(sizes, row):>20.2f}"])


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """What one impression more costs, between the two largest sizes; never less than nothing."""
    return max(0.0, (values[-1] - values[-2]) / (sizes[-1] - sizes[-2]))


def paper(told: Mapping[int, Cost]) -> str:
    """Processor hours (peak: TiB) of one process, at sizes that nobody has run: extrapolated."""
    sizes = sorted(told)
    head = "".join(f"{f'{size:,} a day':>24}" for size in ON_PAPER)
    lines = [f"{'extrapolated hours':<22}{head}"]
    for stage in told[sizes[0]].stages:
        row = [told[size].stages[stage] for size in sizes]
        days = 1 if stage in OF_A_DAY else WINDOW
        hours = [(row[-1] + slope(sizes, row) * size * days) / 3600 for size in ON_PAPER]
        lines.append(f"{stage:<22}" + "".join(f"{hour:>24,.1f}" for hour in hours))
    row = [told[size].peak for size in sizes]
    peaks = [slope(sizes, row) * size * WINDOW / 1024 for size in ON_PAPER]
    return "\n".join([*lines, f"{'peak TiB':<22}" + "".join(f"{peak:>24,.1f}" for peak in peaks)])


if __name__ == "__main__":
    main()
