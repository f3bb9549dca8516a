"""Logs and a catalog of any size, written by DuckDB out of core: the same rows for the same size.

A day of N impressions with 40 context fields (28 categorical, 12 numbers), 2 % of them clicked and
0.2 % converted. About 1 % are unfit (a bad propensity, an unknown element, another day) and 0.2 %
are sent twice. Impressions are Parquet files of a million rows at most.
"""

from pathlib import Path

from components.sql import quote

DS = "2026-03-10"
SLOTS = ("title", "image", "highlight", "tag")
PRODUCTS, CANDIDATES = 2000, 5
CATEGORICAL = [f"c{n:02d}" for n in range(28)]
NUMERIC = [f"n{n:02d}" for n in range(12)]
CONTEXT = {c: "categorical" for c in CATEGORICAL} | {n: "number" for n in NUMERIC}
A_FILE = 1_000_000


def write_logs(root: Path, impressions: int) -> None:
    """`logs` and `catalog` below root, for ds DS."""
    import duckdb

    database = duckdb.connect()
    database.execute("SET memory_limit = '2GB'")
    _catalog(database, root / "catalog/elements" / f"dt={DS}")
    folder = _folder(root, "impressions")
    for first in range(0, impressions, A_FILE):
        last = min(first + A_FILE, impressions)
        _write(database, _impressions(first, last), folder / f"part-{first // A_FILE:04d}.parquet")
    shown = f"range({impressions}) r(i)"
    clicks = f"""SELECT {_ID} AS impression_id, {_SHOWN} + INTERVAL 1 SECOND * (1 + {_some(7, 1800)})
        AS clicked_at FROM {shown} WHERE i % 50 = 0"""
    bought = f"""SELECT {_ID} AS impression_id, {_SHOWN} + INTERVAL 1 MINUTE * (31 + {_some(8, 600)})
        AS converted_at, {_some(9, 9000)} / 100 AS value FROM {shown} WHERE i % 500 = 0"""
    _write(database, clicks, _folder(root, "clicks") / "part-0.parquet")
    _write(database, bought, _folder(root, "conversions") / "part-0.parquet")


def _folder(root: Path, kind: str) -> Path:
    folder = root / "logs" / kind / f"dt={DS}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(database: object, query: str, target: Path) -> None:
    database.execute(  # type: ignore[attr-defined]
        f"COPY ({query}) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd)"
    )


def _catalog(database: object, folder: Path) -> None:
    folder.mkdir(parents=True)
    slots = ", ".join(quote(slot) for slot in SLOTS)
    _write(
        database,
        f"""SELECT 'p' || p AS product_id, slot, slot || e AS element_id, slot || ' ' || e AS text
        FROM range({PRODUCTS}) a(p), unnest([{slots}]) b(slot), range({CANDIDATES}) c(e)""",
        folder / "part-0.parquet",
    )


def _some(salt: int, below: int) -> str:
    return f"(hash(i * 64 + {salt}) % {below})::BIGINT"


_ID = "printf('%016x-%08x', hash(i), i)"
_SHOWN = f"(TIMESTAMP {quote(DS)} + INTERVAL 1 SECOND * {_some(1, 80_000)})"


def _impressions(first: int, last: int) -> str:
    fields = [f"'{c}': '{c}-' || {_some(10 + n, 4 + n * n)}" for n, c in enumerate(CATEGORICAL)]
    fields += [f"'{x}': {_some(40 + n, 1000)} / 8" for n, x in enumerate(NUMERIC)]
    elements = ", ".join(
        f"'{slot}' || CASE WHEN i % 400 = {n} THEN 'x' ELSE ({_some(60 + n, CANDIDATES)})::VARCHAR END"
        for n, slot in enumerate(SLOTS)
    )
    again = f"CASE WHEN i % 500 = 499 AND i > {first + 500} THEN i - 497 ELSE i END"
    return f"""
    SELECT {_ID} AS impression_id,
           {_SHOWN} - CASE WHEN i % 1000 = 3 THEN INTERVAL 3 DAY ELSE INTERVAL 0 DAY END AS shown_at,
           'p' || {_some(2, PRODUCTS)} AS product_id, 'u' || (i // 9) AS user_id,
           {{{", ".join(fields)}}} AS context,
           MAP {{{", ".join(f"{quote(s)}: e[{n + 1}]" for n, s in enumerate(SLOTS))}}} AS creative,
           CASE WHEN i % 1000 = 7 THEN 1.5 ELSE 0.0016 END AS propensity, 'shop-1' AS policy
    FROM (SELECT i, [{elements}] AS e FROM (SELECT {again} AS i FROM range({first}, {last}) r(i)))
    """
