"""Tables that people hand to the command line: Parquet or JSON Lines, named errors."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.day import to_json
from components.errors import WrongUse
from components.json_lines import JSON_ENDINGS, read_json_lines


def read_table(file: Path, needed: tuple[str, ...], option: str) -> pa.Table:
    """The table with at least the needed columns, or WrongUse naming what is missing."""
    try:
        if file.name.endswith(JSON_ENDINGS):
            table = read_json_lines(file)
        else:
            table = pq.ParquetFile(file).read()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise WrongUse(
            f"{option} {file} cannot be read as Parquet or JSON Lines: {reason}"
        ) from error
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise WrongUse(
            f"{option} {file} has no column {', '.join(missing)} (found "
            f"{', '.join(table.column_names) or 'none'}); expected {', '.join(needed)}"
        )
    return table


def write_table(table: pa.Table, file: Path) -> None:
    """Parquet (zstd), or JSON Lines where the name says so."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.name.endswith((".jsonl", ".ndjson")):
        import json

        lines = (json.dumps(row, default=str) for row in table.to_pylist())
        file.write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(table, file, compression="zstd")


def write_json(value: Any, file: Path) -> None:
    """The value as canonical JSON, in a folder that is made where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(to_json(value))
