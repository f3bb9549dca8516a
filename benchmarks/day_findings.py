"""Seconds that the findings beyond the rows take of a day of 200,000 displays after seven such.

`python -m benchmarks.day_findings [DISPLAYS]`
"""

import sys
import tempfile
import time
from pathlib import Path

import duckdb

from components.validate_logs.beyond import EARLIER_DAYS, findings_of
from validation.sanity.limits import Unusual

_DAY = """
    SELECT '{ds}' AS ds, TIMESTAMP '{ds} 00:00:00' + INTERVAL (i % 86400) SECOND AS shown_at,
           'p' || (i % 500) AS product_id, 'u' || (hash(i) % {users}) AS cluster_id,
           {{'device': 'd' || (hash(i + 1) % 3), 'segment': 's' || (hash(i + 2) % 8),
             'hour': (i % 24)::DOUBLE}} AS context,
           [{{'slot': 'title', 'element': 't' || (hash(i + 3) % 4)}}] AS creative,
           0.25 AS propensity, 'log-' || (i % 2) AS policy, 1 AS impressions,
           (hash(i + 4) % 40 = 0)::INT AS clicks, (hash(i + 4) % 400 = 0)::INT AS conversions,
           true AS click_mature, true AS conversion_mature,
           CASE WHEN hash(i + 4) % 40 = 0 THEN shown_at + INTERVAL 1 MINUTE END AS clicked_at,
           CASE WHEN hash(i + 4) % 400 = 0 THEN shown_at + INTERVAL 9 HOUR END AS converted_at
    FROM range({first}, {last}) t(i)
"""


def main(displays: int) -> None:
    """Prints the seconds, and these as a share of one scan of the same files."""
    with tempfile.TemporaryDirectory() as folder:
        database = duckdb.connect()
        earlier = {}
        for day in range(EARLIER_DAYS + 1):
            ds = f"2026-03-{day + 1:02d}"
            span = {"first": day * displays, "last": (day + 1) * displays}
            query = _DAY.format(ds=ds, users=displays // 4, **span)
            file = Path(folder, f"{ds}.parquet")
            database.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet)")
            earlier[ds] = [file]
        (today,) = earlier.pop(ds)
        database.execute(f"CREATE TABLE bags AS SELECT * FROM read_parquet('{today}')")
        began = time.perf_counter()
        told = findings_of(
            database, ds, earlier, {}, Unusual(), {"clicks": 1.0, "conversions": 168.0}
        )
        took = time.perf_counter() - began
    print(f"{displays:,} displays, {len(told['findings'])} findings: {took:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
