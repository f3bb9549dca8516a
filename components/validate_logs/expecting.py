"""Great Expectations over all rows of a day, batch by batch, and its Data Docs page of that day."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from components.sql import name, parquet
from validation.contract import check_rules
from validation.expectations import BagSuite, Validated

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 1_000_000


def expectations_of(
    suite: BagSuite, checked: list[Path], run_name: str, batch: int = BATCH_ROWS
) -> Validated:
    """What Great Expectations finds of every display of a day, `batch` rows at a time.

    BrokenRuleError where a rule reads a column that bags do not have.
    """
    return suite.check(_batches(suite, checked, batch), run_name)


def _batches(suite: BagSuite, checked: list[Path], rows: int) -> Iterator["pd.DataFrame"]:
    import duckdb

    database = duckdb.connect()
    described = database.execute(f"DESCRIBE SELECT * FROM {parquet(checked)}").fetchall()
    check_rules(suite.rules, {row[0] for row in described})
    chosen = f"SELECT {', '.join(map(name, suite.columns))} FROM {parquet(checked)}"
    reader = database.execute(chosen).to_arrow_reader(rows)
    empty = True
    for batch in reader:
        empty = False
        yield batch.to_pandas()
    if empty:
        yield reader.schema.empty_table().to_pandas()
    database.close()
