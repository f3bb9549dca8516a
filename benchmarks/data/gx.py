"""Great Expectations over ten million bags in batches, beside Great Expectations on one frame.

Both ask the same expectations of the same rows and count the same, or this fails. Beside are: the
whole frame in memory, as Great Expectations' own documentation has it, by its default result
format and by the shorter one that we take; the seconds are of the check alone, with the frame read
before, and of both. Ours are with reading. CPU seconds stand beside, which a busy machine does not
change. `--rows N`, `--batch N`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.data.measured import Cost, measured
from validation.contract import BAG_RULES
from validation.expectations import BagSuite

SHARES = {rule.id: 0.05 for rule in BAG_RULES}
_BAGS = """
    SELECT hash(i) % 5000 > 0 AS in_day, 'x' AS shown_at, (hash(i + 1) % 1000 + 1) / 1000 AS propensity,
           4::BIGINT AS elements_shown,
           CASE WHEN hash(i + 2) % 3000 = 0 THEN 'banner' END AS unknown_slots,
           CASE WHEN hash(i + 3) % 2000 = 0 THEN 'title=t' END AS unknown_elements,
           NULL::VARCHAR AS not_allowed, 1::BIGINT AS impressions,
           (hash(i + 4) % 40 = 0)::BIGINT AS clicks, (hash(i + 5) % 400 = 0)::BIGINT AS conversions,
           CASE WHEN hash(i + 6) % 900 = 0 THEN 'user_id=qa' END AS test_traffic,
           (hash(i + 7) % 202)::BIGINT AS user_impressions, (hash(i + 8) % 100) / 10 AS value,
           CASE WHEN hash(i + 9) % 800 = 0 THEN 'hour' END AS missing_context
    FROM range({rows}) t(i)
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=1_000_000)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="genco-bench-") as folder:
        file = str(Path(folder, "bags.parquet"))
        _write(file, asked.rows)
        ways = {
            "in batches, read too": ("ours", file, str(asked.batch)),
            "one frame, its default result": ("whole", file, "SUMMARY"),
            "one frame, the shorter result": ("whole", file, "BASIC"),
        }
        costs = {
            name: measured("benchmarks.data.gx", "--work", *work) for name, work in ways.items()
        }
    _tell(asked.rows, costs)


def _tell(rows: int, costs: dict[str, Cost]) -> None:
    said = {name: json.loads(cost.said.splitlines()[-1]) for name, cost in costs.items()}
    counts = {name: one["unexpected"] for name, one in said.items()}
    first, *others = counts.values()
    if any(one != first for one in others):
        sys.exit(f"they count differently: {counts}")
    print(f"{rows:,} bags, {len(BAG_RULES)} expectations, {sum(first.values()):,} rows unexpected")
    heads = ("check", "read", "CPU", "ours is", "in CPU", "peak")
    print(f"{'':<32}" + "".join(f"{head:>10}" for head in heads))
    ours = said["in batches, read too"]
    for name, one in said.items():
        seconds = "".join(f"{one[key]:>8.1f} s" for key in ("check", "read", "cpu"))
        ratios = "".join(f"{ours[key] / one[key]:>8.2f} x" for key in ("check", "cpu"))
        print(f"{name:<32}{seconds}{ratios}{costs[name].peak:>6.2f} GiB")


def _write(file: str, rows: int) -> None:
    import duckdb

    with duckdb.connect() as database:
        database.execute(f"COPY ({_BAGS.format(rows=rows)}) TO '{file}' (FORMAT parquet)")


def _ours(file: str, batch: str) -> dict[str, object]:
    from components.validate_logs.expecting import expectations_of

    suite = _warm()
    began, busy = time.perf_counter(), time.process_time()
    found = expectations_of(suite, [Path(file)], "run", int(batch))
    took, cpu = time.perf_counter() - began, time.process_time() - busy
    unexpected = {one.rule: one.unexpected for one in found.checks}
    return {"check": took, "read": 0.0, "cpu": cpu, "unexpected": unexpected}


def _whole(file: str, form: str) -> dict[str, object]:
    import pandas as pd

    suite = _warm()
    began = time.perf_counter()
    frame = pd.read_parquet(file, columns=suite.columns)
    read = time.perf_counter() - began
    began, busy = time.perf_counter(), time.process_time()
    found = suite.validate(frame, form)
    took, cpu = time.perf_counter() - began, time.process_time() - busy
    unexpected = {
        one.expectation_config.meta["rule"]: int(one.result.get("unexpected_count", 0))
        for one in found.results
    }
    return {"check": took, "read": read, "cpu": cpu, "unexpected": unexpected}


def _warm() -> BagSuite:
    """The suite, having checked one row: what a process needs once is in nobody's seconds."""
    import pandas as pd

    suite = BagSuite(BAG_RULES, SHARES)
    row = dict.fromkeys(suite.columns, 1) | {"in_day": True}
    suite.check([pd.DataFrame([row])], "warm")
    return suite


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps({"ours": _ours, "whole": _whole}[sys.argv[2]](*sys.argv[3:])))
    else:
        main(sys.argv[1:])
