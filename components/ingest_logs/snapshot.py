"""Files of the catalog -> tables whose ids are text (CONTRACT 2), or Refused naming what is not."""

import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import Refused
from components.ingest_logs.inputs import LogFile
from components.ingest_logs.soundness import first_line, is_json
from components.json_lines import read_json_lines

NEEDED = {
    "elements": ("product_id", "slot", "element_id"),
    "combinations": ("product_id", "creative"),
    "forbidden": ("slot_a", "element_a", "slot_b", "element_b"),
}
_IDS = {"product_id", "slot", "element_id", "slot_a", "element_a", "slot_b", "element_b"}
_OPTIONAL = {"elements": ("text",), "combinations": (), "forbidden": ("product_id",)}


def read_snapshot(files: list[LogFile]) -> pa.Table:
    """The rows of files of one kind, with their day as `dt`; a column that some lack is null there."""
    tables = [_read(file) for file in files if file.size > 0 or not is_json(file)]
    if not tables:
        return pa.table(
            {name: pa.array([], pa.string()) for name in [*NEEDED[files[0].kind], "dt"]}
        )
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        names = ", ".join(sorted({f.path for f in files}))
        raise Refused(
            f"the catalog's files {names} do not go together: {first_line(error)}; expected one type a "
            "column: write the snapshots again"
        ) from error


def _read(file: LogFile) -> pa.Table:
    needed, optional = NEEDED[file.kind], _OPTIONAL[file.kind]
    texts = [name for name in (*needed, *optional) if name != "creative"]
    try:
        if is_json(file):
            table = read_json_lines(file.local, texts)
        else:
            table = pq.ParquetFile(file.local).read()
    except (pa.ArrowException, OSError, EOFError) as error:
        raise Refused(
            f"{file.path} of the catalog ({file.size:,} bytes) cannot be read: "
            f"{first_line(error, file)}; expected a whole Parquet or JSON Lines file whose ids are "
            "text: write the snapshot again"
        ) from error
    _check(file, table, needed)
    for name in texts:
        at = table.schema.get_field_index(name)
        kept = pa.nulls(len(table), pa.string()) if at < 0 else table[name].cast(pa.string())
        if at >= 0:
            table = table.set_column(at, name, kept)
        elif name != "text":
            table = table.append_column(name, kept)
    return table.append_column("dt", pa.array([file.dt] * len(table), pa.string()))


def _check(file: LogFile, table: pa.Table, needed: tuple[str, ...]) -> None:
    names = table.column_names
    missing = [name for name in needed if name not in names]
    if missing:
        raise Refused(
            f"{file.path} has no column {', '.join(missing)} (found {', '.join(names)}); expected "
            f"the {file.kind} table of CONTRACT 2: write the snapshot again"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refused(
            f"{file.path} of the catalog has column {', '.join(twice)} twice; expected each once: "
            "write the snapshot again"
        )
    for name in names:
        kind = table.schema.field(name).type
        if name in (_IDS | {"text"}) and not (_is_text(kind) or pa.types.is_null(kind)):
            raise Refused(
                f"{file.path} of the catalog has {name} as {kind}; expected text: write the "
                "snapshot again"
            )
    if "creative" in needed:
        _check_creatives(file, table["creative"])
    for name in needed:
        empty = table[name].null_count
        if empty:
            first = pc.index(table[name].is_null(), True).as_py() + 1
            raise Refused(
                f"{file.path} of the catalog has no {name} in {empty:,} rows, the first is row "
                f"{first}; expected it in every row: write the snapshot again"
            )


def check_once(elements: pa.Table, place: str) -> None:
    """Refused where a snapshot describes one element in two ways; rows sent twice are no fault."""
    import duckdb

    with duckdb.connect() as database:
        database.register("rows", elements)
        found = database.execute(
            "SELECT product_id, slot, element_id FROM rows r GROUP BY ALL "
            "HAVING count(*) > 1 AND count(DISTINCT r) > 1 ORDER BY ALL LIMIT 1"
        ).fetchone()
    if found is not None:
        raise Refused(
            f"the catalog's snapshot {place} describes element {found[2]} of product {found[0]}, "
            f"slot {found[1]}, more than once and not alike; expected one row an element: write "
            "the snapshot again"
        )


def _check_creatives(file: LogFile, column: pa.ChunkedArray) -> None:
    """Refused unless every creative is an object of slot: element, as map, struct or JSON text."""
    kind, wrong = column.type, None
    if _is_text(kind):
        wrong = next((one for one in pc.unique(column).to_pylist() if not _is_creative(one)), None)
    elif pa.types.is_struct(kind):
        wrong = next((str(field) for field in kind if not _is_text(field.type)), None)
    elif not pa.types.is_map(kind) or not _is_text(kind.item_type):
        wrong = str(kind)
    if wrong is not None:
        raise Refused(
            f"{file.path} of the catalog has a creative {wrong[:60]!r}; expected a JSON object of "
            "slot: element: write the snapshot again"
        )


def _is_creative(text: str | None) -> bool:
    if text is None:
        return True  # told of as missing
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and all(
        isinstance(element, str | None) for element in found.values()
    )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return any(
        ask(kind) for ask in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )
