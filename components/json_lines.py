"""JSON Lines as an Arrow table, for tables that are small enough to hold.

Every line decides the columns and their types, not the first ones: a column may begin anywhere.
"""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

JSON_ENDINGS = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz")
TEXTS = (
    "product_id",
    "slot",
    "element_id",
    "text",
    "policy",
)  # text also where it looks like a date
_BLOCK = 1 << 26  # bytes that one line may have


def read_json_lines(file: Path, texts: Iterable[str] = TEXTS) -> pa.Table:
    """The file's rows; columns of `texts` that it has are text. ArrowInvalid, one line, if it can't."""
    import pyarrow.json

    read = pyarrow.json.ReadOptions(block_size=_BLOCK)
    known = pa.schema([(column, pa.string()) for column in texts])
    parse = pyarrow.json.ParseOptions(explicit_schema=known)
    try:
        table = pyarrow.json.read_json(file, read, parse)
    except pa.ArrowInvalid as error:
        raise pa.ArrowInvalid(str(error).splitlines()[0][:200]) from error
    never = [name for name in known.names if table[name].null_count == len(table)]
    return table.drop_columns(never) if len(table) else table
