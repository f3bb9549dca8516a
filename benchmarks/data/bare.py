"""What DuckDB alone needs: scan impressions, clicks and conversions, join, write Parquet.

`python -m benchmarks.data.bare ROOT MEMORY`: no rule, no repeat, no account, no order.
"""

import sys
from pathlib import Path

from components.sql import quote


def main(root: Path, memory: str) -> None:
    import duckdb

    database = duckdb.connect(str(root / "bare.duckdb"))
    database.execute(f"SET memory_limit = {quote(memory)}")
    database.execute("SET preserve_insertion_order = false")
    files = {
        kind: f"read_parquet({quote(f'{root}/logs/{kind}/*/*.parquet')})"
        for kind in ("impressions", "clicks", "conversions")
    }
    database.execute(
        f"""
        COPY (
            SELECT i.*, c.clicked_at, coalesce(c.clicks, 0) AS clicks,
                   coalesce(v.conversions, 0) AS conversions, coalesce(v.value, 0) AS value
            FROM {files["impressions"]} i
            LEFT JOIN (SELECT impression_id, count(*) AS clicks, min(clicked_at) AS clicked_at
                       FROM {files["clicks"]} GROUP BY ALL) c USING (impression_id)
            LEFT JOIN (SELECT impression_id, count(*) AS conversions, sum(value) AS value
                       FROM {files["conversions"]} GROUP BY ALL) v USING (impression_id)
        ) TO {quote(f"{root}/bare.parquet")} (FORMAT parquet, COMPRESSION zstd)
        """
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
