"""Any log file -> rows of the contract's types, each problem named (pure SQL text).

Two sources: Parquet columns as they are, or JSON Lines as text. Both give the same columns:
file, row (from 1), dt, the contract's columns typed, and `problems`, a list of {rule, message}
that is empty for a row that could be read whole. Types are strict: "0.5" is not a number, since
a producer that changed a type should hear of it. ISO text is taken as a timestamp.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from components.sql import name, quote
from validation.contract import Column

_EXPECTED = {
    "string": "text",
    "timestamp": "a UTC timestamp",
    "double": "a number",
    "count": "a whole number",
    "context": "a JSON object whose fields have the config's types",
    "creative": "a JSON object of slot: element, each slot once",
}
_NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_WHOLE = (*_NUMERIC, "UBIGINT", "HUGEINT")
_JSON_NUMBER = "('DOUBLE', 'BIGINT', 'UBIGINT', 'HUGEINT')"


@dataclass(frozen=True)
class Field:
    """A column's SQL: its typed value, and whether what was found has the wrong type."""

    value: str
    wrong: str
    found: str


def typed_select(
    columns: tuple[Column, ...],
    fields: Mapping[str, Field],
    relation: str,
    broken: str = "false",
) -> str:
    """SELECT of file, row, dt, raw, every contract column and its problems from a relation."""
    values = [f"{fields[column.name].value} AS {name(column.name)}" for column in columns]
    checks = [_problem(column, fields[column.name]) for column in columns]
    json_problem = _reason("json", quote("the line is not a JSON object"))
    problems = (
        f"CASE WHEN {broken} THEN [{json_problem}] "
        f"ELSE list_filter([{', '.join(checks)}], p -> p IS NOT NULL) END"
    )
    return f"SELECT file, row, dt, {', '.join(values)}, {problems} AS problems FROM {relation}"


def _reason(rule: str, message: str) -> str:
    return f"{{'rule': {quote(rule)}, 'message': {message}}}"


def _problem(column: Column, field: Field) -> str:
    expected = _EXPECTED[column.type]
    wrong = (
        f"{quote(column.name + ': found ')} || {field.found} || {quote(', expected ' + expected)}"
    )
    cases = [f"WHEN {field.wrong} THEN {_reason('type.' + column.name, wrong)}"]
    if column.required:
        missing = quote(f"{column.name}: missing, expected {expected}")
        empty = f"{field.value} IS NULL"
        if column.type == "string":
            empty = f"coalesce({field.value}, '') = ''"
        cases.append(f"WHEN {empty} THEN {_reason('missing.' + column.name, missing)}")
    return f"CASE {' '.join(cases)} END"


def json_fields(columns: tuple[Column, ...], context: Mapping[str, str]) -> dict[str, Field]:
    """How to read each column out of the JSON object `j`."""
    return {column.name: _json_field(column, context) for column in columns}


def _json_field(column: Column, context: Mapping[str, str]) -> Field:
    path = quote(f'$."{column.name}"')
    kind = f"coalesce(json_type(j, {path}), 'NULL')"
    found = f"coalesce(left(CAST(json_extract(j, {path}) AS VARCHAR), 60), 'nothing')"
    if column.type == "context":
        return _context_from_json(f"json_extract(j, {path})", context, found)
    if column.type == "creative":
        return _creative_from_json(f"json_extract(j, {path})", found)
    text = f"json_extract_string(j, {path})"
    if column.type == "string":
        return Field(
            f"CASE WHEN {kind} = 'VARCHAR' THEN {text} END",
            f"{kind} NOT IN ('VARCHAR', 'NULL')",
            found,
        )
    if column.type == "timestamp":
        value = f"CASE WHEN {kind} = 'VARCHAR' THEN {_instant(text)} END"
        return Field(value, f"{kind} <> 'NULL' AND {value} IS NULL", found)
    allowed = _JSON_NUMBER if column.type == "double" else "('BIGINT', 'UBIGINT')"
    typed = _finite(text) if column.type == "double" else f"try_cast({text} AS BIGINT)"
    value = f"CASE WHEN {kind} IN {allowed} THEN {typed} END"
    return Field(value, f"{kind} <> 'NULL' AND {value} IS NULL", found)


def _instant(text: str) -> str:
    """SQL of a text's UTC timestamp; null where it names none (infinity is none)."""
    instant = f"CAST(try_cast({text} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"CASE WHEN isfinite({instant}) THEN {instant} END"


def _finite(text: str) -> str:
    """SQL of a text's number; null where it is none or too large for a double."""
    number = f"try_cast({text} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _context_from_json(json: str, context: Mapping[str, str], found: str) -> Field:
    entries = []
    wrongs = [f"coalesce(json_type({json}), 'NULL') NOT IN ('OBJECT', 'NULL')"]
    for key, kind in context.items():
        path = quote(f'$."{key}"')
        type_of = f"json_type({json}, {path})"
        text = f"json_extract_string({json}, {path})"
        if kind == "number":
            value = f"CASE WHEN {type_of} IN {_JSON_NUMBER} THEN {_finite(text)} END"
            entries.append(f"{quote(key)}: {value}")
            wrongs.append(f"(coalesce({type_of}, 'NULL') <> 'NULL' AND {value} IS NULL)")
        else:
            entries.append(f"{quote(key)}: CASE WHEN {type_of} = 'VARCHAR' THEN {text} END")
            wrongs.append(f"coalesce({type_of} NOT IN ('VARCHAR', 'NULL'), false)")
    value = _struct(entries)
    present = f"CASE WHEN json_type({json}) = 'OBJECT' THEN {value} END"
    return Field(present, f"({' OR '.join(wrongs)})", found)


def _struct(entries: list[str]) -> str:
    return "{" + (", ".join(entries) if entries else "'none': NULL::VARCHAR") + "}"


def _creative_from_json(json: str, found: str) -> Field:
    is_object = f"json_type({json}) = 'OBJECT'"
    twice = f"len(json_keys({json})) > len(list_distinct(json_keys({json})))"  # no map holds that
    kinds = f"list_transform(map_values(CAST({json} AS MAP(VARCHAR, JSON))), v -> json_type(v))"
    wrong = (
        f"CASE WHEN NOT coalesce({is_object}, false) "
        f"THEN coalesce(json_type({json}), 'NULL') <> 'NULL' WHEN {twice} THEN true "
        f"ELSE len(list_filter({kinds}, k -> k NOT IN ('VARCHAR', 'NULL'))) > 0 END"
    )
    as_map = f"CAST({json} AS MAP(VARCHAR, VARCHAR))"
    value = f"CASE WHEN {is_object} THEN CASE WHEN {twice} THEN NULL ELSE {as_map} END END"
    return Field(value, wrong, found)


def parquet_fields(
    columns: tuple[Column, ...], types: Mapping[str, str], context: Mapping[str, str]
) -> dict[str, Field]:
    """How to read each column of Parquet files whose DuckDB column types are `types`."""
    return {c.name: _parquet_field(c, types.get(c.name), context) for c in columns}


def _parquet_field(column: Column, found_type: str | None, context: Mapping[str, str]) -> Field:
    at = name(column.name)
    if found_type is None:
        return Field(_nothing(column, context), "false", "'nothing'")
    found = f"coalesce(left(CAST({at} AS VARCHAR), 60), 'nothing') || {quote(f' ({found_type})')}"
    if column.type == "context":
        return _context_from_parquet(at, found_type, context, found)
    if column.type == "creative":
        return _creative_from_parquet(at, found_type, found)
    value, fits = _scalar_from_parquet(column, at, found_type)
    if value is None:
        return Field(_nothing(column, context), f"{at} IS NOT NULL", found)
    return Field(value, "false" if fits else f"{at} IS NOT NULL AND {value} IS NULL", found)


def _scalar_from_parquet(column: Column, at: str, found_type: str) -> tuple[str | None, bool]:
    """The value's SQL (None: no row of this type can fit) and whether every row fits."""
    if column.type == "string":
        return (at, True) if found_type == "VARCHAR" else (None, False)
    if column.type == "timestamp":
        if found_type.startswith("TIMESTAMP"):
            return f"CASE WHEN isfinite({at}) THEN CAST({at} AS TIMESTAMP) END", False
        return (_instant(at) if found_type == "VARCHAR" else None), False
    if found_type in _WHOLE:
        return f"CAST({at} AS {'DOUBLE' if column.type == 'double' else 'BIGINT'})", True
    if found_type in ("FLOAT", "DOUBLE") or found_type.startswith("DECIMAL"):
        if column.type == "double":
            return f"CASE WHEN isfinite(CAST({at} AS DOUBLE)) THEN CAST({at} AS DOUBLE) END", False
        whole = f"isfinite(CAST({at} AS DOUBLE)) AND CAST({at} AS DOUBLE) = floor({at})"
        return f"CASE WHEN {whole} THEN CAST({at} AS BIGINT) END", False
    return None, False


def _nothing(column: Column, context: Mapping[str, str]) -> str:
    if column.type == "context":
        kinds = {"number": "DOUBLE"}
        entries = [f"{quote(k)}: NULL::{kinds.get(v, 'VARCHAR')}" for k, v in context.items()]
        return f"CASE WHEN false THEN {_struct(entries)} END"
    kinds = {
        "string": "VARCHAR",
        "timestamp": "TIMESTAMP",
        "double": "DOUBLE",
        "count": "BIGINT",
        "creative": "MAP(VARCHAR, VARCHAR)",
    }
    return f"CAST(NULL AS {kinds[column.type]})"


def _context_from_parquet(
    at: str, found_type: str, context: Mapping[str, str], found: str
) -> Field:
    if found_type.startswith(("STRUCT", "MAP")):
        json = f"to_json({at})"
    elif found_type in ("VARCHAR", "JSON"):
        json = f"CASE WHEN json_valid({at}) THEN CAST({at} AS JSON) END"
        field = _context_from_json(json, context, found)
        broken = f"({at} IS NOT NULL AND NOT json_valid({at}))"
        return Field(field.value, f"({broken} OR {field.wrong})", found)
    else:
        nothing = _nothing(Column("context", "context"), context)
        return Field(nothing, f"{at} IS NOT NULL", found)
    return _context_from_json(json, context, found)


def _creative_from_parquet(at: str, found_type: str, found: str) -> Field:
    if found_type == "MAP(VARCHAR, VARCHAR)":
        return Field(at, "false", found)
    if found_type.startswith("STRUCT") and not found_type.endswith("[]"):
        return _creative_from_json(f"to_json({at})", found)
    if found_type in ("VARCHAR", "JSON"):
        json = f"CASE WHEN json_valid({at}) THEN CAST({at} AS JSON) END"
        field = _creative_from_json(json, found)
        broken = f"({at} IS NOT NULL AND NOT json_valid({at}))"
        return Field(field.value, f"({broken} OR {field.wrong})", found)
    return Field("CAST(NULL AS MAP(VARCHAR, VARCHAR))", f"{at} IS NOT NULL", found)
