"""Features at scale beside Feast itself: the point-in-time training set, and filling the online store.

`join`: 1M bags on 5M feature rows (178,572 elements, 28 days' ends). Feast's own way is one
retrieval a slot, a row a bag, by its duckdb store; ours is what materialize_features does. Both
write their training set as Parquet. `online`: the newest values of 1M keys into SQLite, Feast's
own materialize beside ours. Each in a process of its own, whose imports do not count.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.data.measured import Cost, measured

WORK = "benchmarks.data.features_work"
PARTS = ("join", "online")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="only this one")
    parser.add_argument("--bags", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the history")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--alone", action="store_true", help="without Feast's own beside")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="genco-bench-") as folder:
        if asked.part in (None, "join"):
            for slots in asked.slots:
                _join(Path(folder) / f"join{slots}", asked, slots)
        if asked.part in (None, "online"):
            _online(Path(folder) / "online", asked)


def _join(folder: Path, asked: argparse.Namespace, slots: int) -> None:
    shape = ("--bags", str(asked.bags), "--rows", str(asked.rows), "--slots", str(slots))
    measured(WORK, "make-join", str(folder), *shape)
    print(f"training set: {asked.bags:,} bags of {slots} slots on {asked.rows:,} feature rows")
    _pair("join", folder, asked.alone, "1.3", "2", "--slots", str(slots))
    if not asked.alone:
        print(
            "  "
            + measured(WORK, "compare", str(folder), "--slots", str(slots)).said.splitlines()[0]
        )


def _online(folder: Path, asked: argparse.Namespace) -> None:
    measured(WORK, "make-online", str(folder), "--keys", str(asked.keys))
    print(f"online store: {asked.keys:,} keys of element_history into SQLite")
    _pair("online", folder, asked.alone, "none set", "1.5")


def _pair(what: str, folder: Path, alone: bool, ratio: str, peak: str, *arguments: str) -> None:
    theirs = None if alone else measured(WORK, f"feast-{what}", str(folder), *arguments)
    ours = measured(WORK, f"ours-{what}", str(folder), *arguments)
    for name, cost in (("Feast's own", theirs), ("ours", ours)):
        if cost is not None:
            wall, cpu = _seconds(cost)
            print(f"  {name:<12} {wall:>7.1f} s  {cpu:>7.1f} s CPU  peak {cost.peak:>5.2f} GiB")
    said = f"peak {ours.peak:.2f} GiB (limit {peak})"
    if theirs is not None:
        wall, cpu = (a / b for a, b in zip(_seconds(ours), _seconds(theirs), strict=True))
        said = f"ratio {wall:.2f} (limit {ratio}), of CPU seconds {cpu:.2f}, {said}"
    print(f"  {said}")


def _seconds(cost: Cost) -> tuple[float, float]:
    """Wall and CPU seconds of the work alone."""
    wall, cpu = map(float, cost.said.split()[-2:])
    return wall, cpu


if __name__ == "__main__":
    main()
