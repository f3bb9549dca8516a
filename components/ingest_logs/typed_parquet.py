"""How to read a column out of Parquet, by the type that its files have.

A struct whose fields already have the wanted types is passed on as it is; only where a field must
be looked at as JSON is the row taken apart.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.ingest_logs.typed import Field, Shape, instant, other_slots, struct
from components.ingest_logs.typed_json import context_from_json, creative_from_json
from components.sql import name, quote
from validation.contract import Column

if TYPE_CHECKING:
    from duckdb.typing import DuckDBPyType

_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_WHOLE = (*_NUMERIC, "UBIGINT", "HUGEINT")


def parquet_fields(
    columns: tuple[Column, ...], types: "Mapping[str, DuckDBPyType]", shape: Shape
) -> dict[str, Field]:
    """How to read each column of Parquet files whose DuckDB column types are `types`."""
    return {c.name: _parquet_field(c, types.get(c.name), shape) for c in columns}


def _parquet_field(column: Column, kind: "DuckDBPyType | None", shape: Shape) -> Field:
    at = name(column.name)
    if kind is None:
        return Field(_nothing(column, shape), "false", "'nothing'")
    found_type = str(kind)
    found = f"coalesce(left(CAST({at} AS VARCHAR), 60), 'nothing') || {quote(f' ({found_type})')}"
    if column.type == "context":
        return _context_from_parquet(at, kind, shape, found)
    if column.type == "creative":
        return _creative_from_parquet(at, kind, shape, found)
    value, fits = _scalar_from_parquet(column, at, found_type)
    if value is None:
        return Field(_nothing(column, shape), f"{at} IS NOT NULL", found)
    return Field(value, "false" if fits else f"{at} IS NOT NULL AND {value} IS NULL", found)


def _scalar_from_parquet(column: Column, at: str, found_type: str) -> tuple[str | None, bool]:
    """The value's SQL (None: no row of this type can fit) and whether every row fits."""
    if column.type == "string":
        return (at, True) if found_type == "VARCHAR" else (None, False)
    if column.type == "timestamp":
        if found_type.startswith("TIMESTAMP"):
            return f"CASE WHEN isfinite({at}) THEN CAST({at} AS TIMESTAMP) END", False
        return (instant(at) if found_type == "VARCHAR" else None), False
    if found_type in _WHOLE:
        return f"CAST({at} AS {'DOUBLE' if column.type == 'double' else 'BIGINT'})", True
    if found_type in ("FLOAT", "DOUBLE") or found_type.startswith("DECIMAL"):
        if column.type == "double":
            return f"CASE WHEN isfinite(CAST({at} AS DOUBLE)) THEN CAST({at} AS DOUBLE) END", False
        whole = f"isfinite(CAST({at} AS DOUBLE)) AND CAST({at} AS DOUBLE) = floor({at})"
        return f"CASE WHEN {whole} THEN CAST({at} AS BIGINT) END", False
    return None, False


def _nothing(column: Column, shape: Shape) -> str:
    if column.type == "context":
        kinds = {"number": "DOUBLE"}
        entries = [f"{quote(k)}: NULL::{kinds.get(v, 'VARCHAR')}" for k, v in shape.context.items()]
        return f"CASE WHEN false THEN {struct(entries)} END"
    if column.type == "creative":
        return f"CASE WHEN false THEN {struct([f'{quote(s)}: NULL::VARCHAR' for s in shape.slots])} END"
    kinds = {"string": "VARCHAR", "timestamp": "TIMESTAMP", "double": "DOUBLE", "count": "BIGINT"}
    return f"CAST(NULL AS {kinds[column.type]})"


def _context_from_parquet(at: str, kind: "DuckDBPyType", shape: Shape, found: str) -> Field:
    if kind.id == "struct":
        fields = {key: str(inner) for key, inner in kind.children}
        if all(_plain(wanted, fields.get(key)) for key, wanted in shape.context.items()):
            return _context_from_struct(at, fields, shape.context, found)
    if kind.id in ("struct", "map"):
        return context_from_json(f"to_json({at})", shape.context, found)
    if str(kind) in ("VARCHAR", "JSON"):
        json = f"CASE WHEN json_valid({at}) THEN CAST({at} AS JSON) END"
        field = context_from_json(json, shape.context, found)
        broken = f"({at} IS NOT NULL AND NOT json_valid({at}))"
        return Field(field.value, f"({broken} OR {field.wrong})", found, costly=True)
    return Field(_nothing(Column("context", "context"), shape), f"{at} IS NOT NULL", found)


def _plain(wanted: str, found: str | None) -> bool:
    """Whether a struct's field can be taken over without looking at it as JSON."""
    if found is None:
        return True
    return _is_number(found) if wanted == "number" else found == "VARCHAR"


def _is_number(found: str) -> bool:
    return found in (*_WHOLE, "FLOAT", "DOUBLE") or found.startswith("DECIMAL")


def _context_from_struct(
    at: str, fields: Mapping[str, str], context: Mapping[str, str], found: str
) -> Field:
    wanted = {key: "DOUBLE" if kind == "number" else "VARCHAR" for key, kind in context.items()}
    floats = [key for key in context if fields.get(key) in ("FLOAT", "DOUBLE")]
    wrong = " OR ".join(f"NOT isfinite({_inner(at, key)})" for key in floats) or "false"
    if list(fields.items()) == list(wanted.items()):
        return Field(at, wrong, found)
    entries = [
        f"{quote(key)}: CAST({_inner(at, key) if key in fields else 'NULL'} AS {kind})"
        for key, kind in wanted.items()
    ]
    return Field(f"CASE WHEN {at} IS NOT NULL THEN {struct(entries)} END", wrong, found)


def _inner(at: str, key: str) -> str:
    return f"struct_extract({at}, {quote(key)})"


def _creative_from_parquet(at: str, kind: "DuckDBPyType", shape: Shape, found: str) -> Field:
    if str(kind) == "MAP(VARCHAR, VARCHAR)":
        value, other = creative_of_map(at, shape.slots)
        return Field(value, "false", found, other)
    if kind.id == "struct":
        inner = {key: str(found_type) for key, found_type in kind.children}
        if all(found_type == "VARCHAR" for found_type in inner.values()):
            return _creative_from_struct(at, list(inner), shape.slots, found)
        return creative_from_json(f"to_json({at})", shape.slots, found)
    if str(kind) in ("VARCHAR", "JSON"):
        json = f"CASE WHEN json_valid({at}) THEN CAST({at} AS JSON) END"
        field = creative_from_json(json, shape.slots, found)
        broken = f"({at} IS NOT NULL AND NOT json_valid({at}))"
        return Field(field.value, f"({broken} OR {field.wrong})", found, field.other, costly=True)
    return Field(_nothing(Column("creative", "creative"), shape), f"{at} IS NOT NULL", found)


def creative_of_map(at: str, slots: tuple[str, ...]) -> tuple[str, str]:
    """SQL of a MAP slot -> element as a struct of the slots, and of what it holds beside them."""
    entries = [f"{quote(slot)}: {at}[{quote(slot)}]" for slot in slots]
    known = " + ".join(f"({at}[{quote(slot)}] IS NOT NULL)::INT" for slot in slots)
    other = f"CASE WHEN cardinality({at}) > {known} THEN {other_slots(at, slots)} END"
    return f"CASE WHEN {at} IS NOT NULL THEN {struct(entries)} END", other


def _creative_from_struct(at: str, keys: list[str], slots: tuple[str, ...], found: str) -> Field:
    others = [key for key in sorted(keys) if key not in slots]
    named = ", ".join(f"CASE WHEN {_inner(at, k)} IS NOT NULL THEN {quote(k)} END" for k in others)
    other = f"nullif(concat_ws(', ', {named}), '')" if others else "NULL::VARCHAR"
    if tuple(keys) == slots:
        return Field(at, "false", found, other)
    entries = [
        f"{quote(slot)}: {_inner(at, slot) if slot in keys else 'NULL::VARCHAR'}" for slot in slots
    ]
    return Field(f"CASE WHEN {at} IS NOT NULL THEN {struct(entries)} END", "false", found, other)
