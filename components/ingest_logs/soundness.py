"""Whether a log file can be read at all, and the sentence that says why not.

What only a look at every page tells is asked when a query has failed, not before each run.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_logs.inputs import LogFile
from components.json_lines import JSON_ENDINGS
from components.sql import parquet
from validation.contract import LOGS

if TYPE_CHECKING:
    import duckdb

_AGAIN = "upload it again and run the day again"
_FORMS = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"\x28\xb5\x2f\xfd": "Zstandard", b"PK": "zip"}
_RESERVED = ("file_row_number", "file_index")  # what DuckDB calls a row's place in its file


def is_json(file: LogFile) -> bool:
    return file.path.endswith(JSON_ENDINGS)


def unreadable_when_empty(file: LogFile) -> str | None:
    """What is wrong with a file of no bytes; plain text may be empty, other forms never are."""
    if is_json(file) and not file.path.endswith(".gz"):
        return None
    form = "gzip" if file.path.endswith(".gz") else "Parquet"
    return (
        f"{file.path} is empty (0 bytes); expected a whole {form} file, which takes some bytes even "
        f"without a row: {_AGAIN}"
    )


def misnamed(file: LogFile) -> str | None:
    """What is wrong with a file that is named as plain JSON Lines and is something else."""
    if file.path.endswith(".gz"):
        return None
    with file.local.open("rb") as stream:
        begins = stream.read(4)
    form = next((form for magic, form in _FORMS.items() if begins.startswith(magic)), None)
    if form is None:
        return None
    return (
        f"{file.path} ({file.size:,} bytes) is {form}, not JSON Lines as its name says; expected a "
        f"name that ends as its form does: upload it under another name and run the day again"
    )


def broken_gzip(file: LogFile, error: Exception) -> str:
    return (
        f"{file.path} ({file.size:,} bytes) is not a whole gzip file: {first_line(error, file)}; "
        f"expected a complete file: {_AGAIN}"
    )


def broken_parquet(file: LogFile, error: Exception) -> str:
    """The sentence of a file that is no Parquet, or whose pages are damaged."""
    named = file.path.endswith((".parquet", ".pq"))
    other = "" if named else f", and its name does not end like JSON Lines ({JSON_ENDINGS[0]})"
    why = first_line(error, file)
    return (
        f"{file.path} ({file.size:,} bytes) is not a whole Parquet file{other}: {why}; expected a "
        f"complete file: {_AGAIN}"
    )


def misnamed_columns(file: LogFile, schema: pa.Schema) -> str | None:
    """What is wrong with a Parquet file's column names; each column of the contract stands once."""
    known = [column.name for column in LOGS[file.kind]]
    found = [name for name in schema.names if name.lower() in (*known, *_RESERVED)]
    wrong = [name for name in found if name not in known]
    twice = sorted({name for name in found if found.count(name) > 1})
    if not wrong and not twice:
        return None
    if twice:
        said = f"has column {', '.join(twice)} more than once; expected each once"
    elif reserved := [name for name in wrong if name.lower() in _RESERVED]:
        said = f"has column {', '.join(reserved)}, a name that reading needs; expected another"
    else:
        meant = ", ".join(f"{name.lower()} (found {name})" for name in wrong)
        said = f"names columns in other letters; expected {meant}"
    return f"{file.path} {said}: correct the writer, {_AGAIN}"


def damaged(database: "duckdb.DuckDBPyConnection", files: Iterable[LogFile]) -> Mapping[str, str]:
    """Path -> sentence of the Parquet files of which some page can't be read; all are read."""
    import duckdb

    found = {}
    for file in files:
        if file.size == 0 or is_json(file):
            continue
        try:
            pq.read_schema(file.local)
            database.execute(
                f"SELECT bit_xor(hash(COLUMNS(*))) FROM {parquet(file.local)}"
            ).fetchall()
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            continue  # told of whenever files are read
        except duckdb.Error as error:
            found[file.path] = broken_parquet(file, error)
    return found


def first_line(error: Exception, *files: LogFile) -> str:
    """The first line of what a library said, cut short, with the files' own names in it."""
    line = str(error).splitlines()[0]
    for file in files:  # before the cut, which may go through the middle of a name
        line = line.replace(str(file.local), file.path)
    return line[:160]
