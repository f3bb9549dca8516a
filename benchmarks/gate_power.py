"""The gate judged: how often it promotes, holds and rejects challengers of known true value.

In small shops with known truth (benchmarks/gate_worlds), challengers that are as good as the
champion, better by 2 and 10 %, or broken are judged by the real code with default limits. A
size counts all displays of a window of 28 days; rewards are learned from 26 days and the last 2
judge, a fourteenth of the size. The table goes to stdout, everything to build/gate_power.json.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gate_worlds.candidates import KINDS
from benchmarks.gate_worlds.power import Judged, one
from benchmarks.gate_worlds.reigns import Reign, reign
from benchmarks.gate_worlds.report import join, markdown, summary, targets
from benchmarks.gate_worlds.spending import LOOKS, compare_sequences

SIZES = (100_000, 300_000, 1_000_000)
SIMULATED = 200_000


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def judge_all(sizes: list[int], kinds: list[str], judgements: int) -> dict[int, list[Judged]]:
    """Every kind of challenger at every size."""
    found: dict[int, list[Judged]] = {}
    for size in sizes:
        for kind in kinds:
            began = time.monotonic()
            rows = [one(kind, size, seed) for seed in range(judgements)]
            found.setdefault(size, []).extend(rows)
            promoted = sum(row.verdict == "PROMOTE" for row in rows)
            spent = time.monotonic() - began
            say(f"{size:,} {kind}: {promoted} of {judgements} promoted, {spent:.0f} s")
    return found


def reign_all(size: int, reigns: int, looks: int) -> dict[int, list[Reign]]:
    """Reigns of a champion with as good challengers every day."""
    found = []
    for seed in range(reigns):
        found.append(reign(size, looks, seed))
        if seed % 20 == 19:
            promoted = sum(row.spent is not None for row in found)
            say(f"{size:,} looks: {promoted} of {seed + 1} reigns promoted")
    return {size: found}


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, as JSON values."""
    spending = compare_sequences(asked.simulated, np.random.default_rng(0))
    found = judge_all(asked.sizes, asked.kinds, asked.judgements)
    reigns = reign_all(max(asked.sizes), asked.reigns, asked.looks)
    return summary(found, reigns, spending)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--judgements", type=int, default=200, help="of each kind and size")
    parser.add_argument("--reigns", type=int, default=200)
    parser.add_argument("--looks", type=int, default=LOOKS)
    parser.add_argument("--simulated", type=int, default=SIMULATED, help="reigns of normal looks")
    parser.add_argument("--quick", action="store_true", help="a few of each, in a minute")
    parser.add_argument("--out", type=Path, default=Path("build/gate_power.json"))
    parser.add_argument("--join", type=Path, nargs="+", help="show these outputs as one instead")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.sizes, asked.judgements, asked.reigns = asked.sizes[:2], 5, 3
    parts = [json.loads(file.read_text()) for file in asked.join or []]
    told = join(parts or [measure(asked)])
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(told, indent=1) + "\n")
    print(markdown(told, asked.looks))
    print("\n### Targets\n")
    for sentence, met in targets(told):
        print(f"- {'met' if met else 'MISSED'}: {sentence}")


if __name__ == "__main__":
    main()
