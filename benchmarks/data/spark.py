"""Ingest on Spark (local[2]) and on DuckDB over the same logs: bags compared row by row.

Prints rows that are equal, and rows that only one of them has, of the bags, of what the rules saw
and of the unfit rows as they came; and the seconds of each engine.
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.data.ad_logs import DS, write_logs
from benchmarks.data.measured import measured
from components.sql import open_database, parquet

TABLES = ("bags", "checked", "rejected", "events", "raw")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.data --only spark", description=__doc__)
    parser.add_argument("--millions", type=float, default=1)
    parser.add_argument("--memory", default="2GB", help="memory_limit of each DuckDB")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="genco-bench-") as name:
        root = Path(name)
        write_logs(root, round(asked.millions * 1e6))
        for engine in ("duckdb", "spark"):
            place = root / engine
            place.mkdir()
            for part in ("logs", "catalog"):
                (place / part).symlink_to(root / part)
            cost = measured("benchmarks.data.ours", str(place), asked.memory, engine)
            told = json.loads(cost.said.splitlines()[-1])
            print(f"{engine:<7} ingest {told['ingest']:.1f} s, {told['bags']:,} bags", flush=True)
        for table in TABLES:
            _compare(root, table, asked.memory)


def _compare(root: Path, table: str, memory: str) -> None:
    files = {
        engine: parquet(
            sorted((root / engine / "store/days" / f"ds={DS}").rglob(f"{table}*.parquet"))
        )
        for engine in ("duckdb", "spark")
    }
    with open_database(root, memory) as database:
        both, more, fewer = database.execute(
            f"""
            WITH rows AS (
                SELECT hash(r) AS a, hash(to_json(r)) AS b, 1 AS d, 0 AS s FROM {files["duckdb"]} r
                UNION ALL SELECT hash(r), hash(to_json(r)), 0, 1 FROM {files["spark"]} r
            ), counted AS (SELECT a, b, sum(d) AS d, sum(s) AS s FROM rows GROUP BY a, b)
            SELECT coalesce(sum(least(d, s)), 0), coalesce(sum(greatest(s - d, 0)), 0),
                   coalesce(sum(greatest(d - s, 0)), 0) FROM counted
            """
        ).fetchall()[0]
    (root / "work.duckdb").unlink(missing_ok=True)
    print(f"{table:<9} {both:>10,} equal {fewer:>8,} only on DuckDB {more:>8,} only on Spark")
