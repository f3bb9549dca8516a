"""What of a day's logged propensities is unusual: range, sums, and the policy's weight to itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from components.sql import parquet
from validation.sanity import findings as f
from validation.sanity.limits import Unusual

if TYPE_CHECKING:
    import duckdb

_MANY = 10_000  # combinations: no cell is shown with all of more
KEY = "array_to_string(list_transform(creative, e -> e.slot || chr(31) || e.element), chr(30))"


def propensities(
    database: "duckdb.DuckDBPyConnection", legal: Mapping[str, int], limits: Unusual
) -> list[f.Finding]:
    """Range, sums over what a product was shown with in a context, and mean weights."""
    database.execute(
        f"""
        CREATE TEMP TABLE cells AS
        SELECT policy, product_id, context, {KEY} AS creative, avg(propensity) AS propensity,
               sum(impressions) AS displays
        FROM bags WHERE propensity IS NOT NULL GROUP BY ALL
        """
    )
    (lowest,) = database.execute("SELECT min(propensity) FROM cells").fetchone() or (None,)
    found = [f.support(lowest, limits)]
    found.append(f.sums(_sums(database, legal, limits), limits))
    weights = database.execute(_SELF_WEIGHT).fetchall()
    database.execute("DROP TABLE cells")
    return found + [f.mean_weight(p, mean, error, n, limits) for p, mean, error, n in weights]


def legal_counts(
    database: "duckdb.DuckDBPyConnection", elements: Path, combinations: Path | None
) -> dict[str, int]:
    """Product -> how many combinations there are for it; absent where that is not known.

    A product's allow-list tells; without one its candidates do, if no display of table `bags` left
    a slot empty. Pairs that may not go together are not reckoned with: do not ask where there are.
    """
    listed = {}
    if combinations is not None:
        query = "SELECT product_id, count(DISTINCT CAST(creative AS VARCHAR)) FROM {} GROUP BY ALL"
        listed = dict(database.execute(query.format(parquet(combinations))).fetchall())
    candidates = database.execute(
        f"""
        SELECT product_id, CAST(product(n) AS BIGINT)
        FROM (SELECT product_id, slot, count(DISTINCT element_id) AS n
              FROM {parquet(elements)} GROUP BY ALL)
        JOIN (SELECT product_id, min(len(creative)) AS filled FROM bags GROUP BY ALL)
             USING (product_id)
        GROUP BY product_id, filled HAVING count(*) = filled AND product(n) <= {_MANY}
        """
    ).fetchall()
    return dict(candidates) | listed


def _sums(
    database: "duckdb.DuckDBPyConnection", legal: Mapping[str, int], limits: Unusual
) -> f.Sums:
    database.execute("CREATE TEMP TABLE legal (product_id VARCHAR, combinations BIGINT)")
    database.execute(
        "INSERT INTO legal SELECT unnest($1), unnest($2)", [list(legal), list(legal.values())]
    )
    whole, error = "shown = combinations", limits.sum_error
    row = database.execute(
        f"""
        SELECT count(*), count(*) FILTER (total > 1 + {error}), max(total),
               count(*) FILTER ({whole}), count(*) FILTER ({whole} AND total < 1 - {error}),
               min(total) FILTER ({whole})
        FROM (SELECT product_id, sum(propensity) AS total, count(*) AS shown
              FROM cells GROUP BY policy, product_id, context)
        LEFT JOIN legal USING (product_id)
        """
    ).fetchone()
    database.execute("DROP TABLE legal")
    return f.Sums(*(row or (0, 0, None)))


# Of two displays of a cell, one shows what the other does with that one's propensity: so the
# match divided by it is 1 on average, whatever else the policy may show. The error is that of a
# ratio of sums over cells, and no less than what true propensities would give: seldom shown
# combinations weigh much and seldom match, so that few displays may show no match at all.
_SELF_WEIGHT = """
    WITH cell AS (
        SELECT policy, product_id, context, sum(displays) AS n,
               sum(displays * (displays - 1) / propensity) / (sum(displays) - 1) AS w,
               2 * (sum(displays / propensity) - sum(displays)) / (sum(displays) - 1) AS v
        FROM cells GROUP BY ALL HAVING sum(displays) > 1
    )
    SELECT p.policy, sum(w) / sum(n),
           sqrt(greatest(sum(w * w) - 2 * (sum(w) / sum(n)) * sum(w * n)
                + (sum(w) / sum(n)) ** 2 * sum(n * n), sum(v), 0)) / sum(n),
           coalesce(sum(n), 0)::BIGINT
    FROM (SELECT DISTINCT policy FROM bags) p LEFT JOIN cell USING (policy)
    GROUP BY ALL ORDER BY 4 DESC, 1 LIMIT 20
"""
