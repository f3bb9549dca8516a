"""SQL text for DuckDB: quoted literals, identifiers and reads of named Parquet files."""

from collections.abc import Iterable
from pathlib import Path


def quote(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def name(identifier: str) -> str:
    """A quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def parquet(files: Path | Iterable[Path], options: str = "") -> str:
    """A table function over these files; folders named key=value are not taken for columns."""
    listed = [files] if isinstance(files, Path) else list(files)
    paths = ", ".join(quote(str(file)) for file in listed)
    return f"read_parquet([{paths}], hive_partitioning = false{options})"
