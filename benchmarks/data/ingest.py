"""A day's logs through ingest, row rules and quarantine, beside DuckDB's bare scan and join.

For each size: seconds, CPU seconds and peak memory of both in processes of their own on the same
files, and their ratio. Growth is per row, against the first size.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.data.ad_logs import write_logs
from benchmarks.data.measured import Cost, measured

LIMITS = "at most 3.00 x bare, under 4 GiB, seconds in proportion, memory flat"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.data --only ingest", description=__doc__)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 10, 50])
    parser.add_argument("--memory", default="2GB", help="memory_limit of both")
    parser.add_argument("--folder", help="where logs are kept, and used where they lie already")
    asked = parser.parse_args(arguments)
    print(f"wanted: {LIMITS}; both with memory_limit {asked.memory}")
    first: Cost | None = None
    for millions in asked.millions:
        with _logs(asked.folder, round(millions * 1e6)) as folder:
            bare = measured("benchmarks.data.bare", folder, asked.memory)
            ours = measured("benchmarks.data.ours", folder, asked.memory)
        first = first or ours
        _show(millions, bare, ours, first, asked.millions[0])


@contextmanager
def _logs(kept: str | None, rows: int) -> Iterator[str]:
    """A folder with logs of this size; what the runs wrote into it is removed."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="genco-bench-") as folder:
            write_logs(Path(folder), rows)
            yield folder
        return
    folder = Path(kept) / str(rows)
    if not folder.exists():
        write_logs(folder, rows)
    yield str(folder)
    for written in folder.iterdir():
        if written.name not in ("logs", "catalog"):
            shutil.rmtree(written) if written.is_dir() else written.unlink()


def _show(millions: float, bare: Cost, ours: Cost, first: Cost, start: float) -> None:
    print(f"{millions:g} million impressions")
    for name, cost in (("bare", bare), ("ours", ours)):
        print(
            f"  {name:<6} {cost.seconds:>8.1f} s  {cost.cpu:>8.1f} s of CPU  {cost.peak:>6.2f} GiB"
        )
    growth = ours.seconds / millions / (first.seconds / start)
    cpu = ours.cpu / millions / (first.cpu / start)
    print(
        f"  ratio  {ours.seconds / bare.seconds:>8.2f} x  {ours.cpu / bare.cpu:>8.2f} x of CPU  "
        f"{growth:.2f} x the seconds a row and {cpu:.2f} x the CPU a row of {start:g} million, "
        f"{ours.peak / first.peak:.2f} x its memory"
    )
    told = json.loads(ours.said)
    print(f"  ingest {told.pop('ingest'):.1f} s, then rows: {json.dumps(told)}", flush=True)
    assert told["read"] == told["kept"] + told["duplicate"] + told["quarantined"]


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
