"""The closed loop in five shops: regret of every policy, a table, JSON and a plot.

About four minutes a shop on one core. Shops can be run apart (`--seed 3 --seeds 1 --out A`) and
told together (`--from A/matches.json B/matches.json`).
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

from examples.loop import told
from examples.loop.match import matches_of
from examples.loop.plot import plot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--products", type=int, default=10)
    parser.add_argument("--displays", type=int, default=40_000, help="a day")
    parser.add_argument("--out", type=Path, default=Path("build/loop"))
    parser.add_argument("--from", type=Path, nargs="+", dest="files", help="tell of these instead")
    asked = parser.parse_args()
    if asked.files:
        matches = told.read_matches(asked.files)
    else:
        seeds = range(asked.seed, asked.seed + asked.seeds)
        matches = matches_of(
            seeds, asked.products, asked.days, asked.displays, perf_counter, _print
        )
    found = told.facts(matches)
    told.write_matches(asked.out / "matches.json", matches)
    (asked.out / "loop.json").write_text(json.dumps(found, indent=1) + "\n")
    (asked.out / "loop.svg").write_text(plot(matches))
    print(told.table(found))
    print(f"days, facts and plot: {asked.out}")


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
