"""DuckDB with bounded memory, and SQL text for it: literals, identifiers, named Parquet files."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import Refused, WrongUse

if TYPE_CHECKING:
    import duckdb


@contextmanager
def open_database(
    folder: Path, memory: str, threads: int | None = None
) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A database for the block that keeps within `memory` and spills the rest into `folder`.

    Of a join's sides the second, which is written as the small one, is held in memory.
    """
    import duckdb

    database = duckdb.connect(str(folder / "work.duckdb"))
    try:
        database.execute(f"SET memory_limit = {quote(memory)}")
        database.execute(f"SET temp_directory = {quote(str(folder / 'spill'))}")
        if threads is not None:
            database.execute(f"SET threads = {threads}")
        database.execute("SET TimeZone = 'UTC'")
        database.execute("SET preserve_insertion_order = false")
        database.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        with within(memory, "a day's rows and catalog"):
            yield database
    finally:
        database.close()


@contextmanager
def within(memory: str, what: str) -> Iterator[None]:
    """Work that DuckDB cannot do in `memory`, even by spilling, is refused by name."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise Refused(
            f"{what} did not fit in {memory} of memory, which follows from ingest.memory; raise it, "
            "or shorten window_days"
        ) from error


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def quarter(memory: str) -> str:
    """A quarter of a memory limit such as 2GB: for each of two engines, where Python needs half."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z%]+)\s*", memory)
    if found is None:
        raise WrongUse(f"ingest.memory is {memory!r}; expected a number and a unit, such as 2GB")
    return f"{float(found[1]) / 4:g}{found[2]}"


def name(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def parquet(files: Path | Iterable[Path], options: str = "") -> str:
    """A table function over these files; folders named key=value are not taken for columns."""
    listed = [files] if isinstance(files, Path) else list(files)
    paths = ", ".join(quote(str(file)) for file in listed)
    return f"read_parquet([{paths}], hive_partitioning = false{options})"


def copy_to(database: "duckdb.DuckDBPyConnection", select: str, target: Path) -> None:
    """The rows as one Parquet file, in the order of what is scanned or asked for, so that equal
    rows are equal bytes; one thread writes where there is a join."""
    database.execute(
        f"COPY ({select}) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd, PRESERVE_ORDER true)"
    )
