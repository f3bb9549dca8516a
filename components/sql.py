"""SQL text for DuckDB: quoted literals, identifiers and reads of named Parquet files."""

import re
from collections.abc import Iterable
from pathlib import Path

from components.errors import WrongUse


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def half(memory: str) -> str:
    """Half of a memory limit such as 2GB, for each of two engines in one process."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z%]+)\s*", memory)
    if found is None:
        raise WrongUse(f"ingest.memory is {memory!r}; expected a number and a unit, such as 2GB")
    return f"{float(found[1]) / 2:g}{found[2]}"


def name(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def parquet(files: Path | Iterable[Path], options: str = "") -> str:
    """A table function over these files; folders named key=value are not taken for columns."""
    listed = [files] if isinstance(files, Path) else list(files)
    paths = ", ".join(quote(str(file)) for file in listed)
    return f"read_parquet([{paths}], hive_partitioning = false{options})"
