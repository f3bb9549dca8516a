"""How to read a column out of JSON: of a line, or of text, maps and mixed structs inside Parquet."""

from collections.abc import Mapping

from components.ingest_logs.typed import Field, Shape, finite, instant, other_slots, struct
from components.sql import quote
from validation.contract import Column

_JSON_NUMBER = "('DOUBLE', 'BIGINT', 'UBIGINT', 'HUGEINT')"


def json_fields(columns: tuple[Column, ...], shape: Shape) -> dict[str, Field]:
    """How to read each column out of the JSON object `j`."""
    return {column.name: _json_field(column, shape) for column in columns}


def _json_field(column: Column, shape: Shape) -> Field:
    path = quote(f'$."{column.name}"')
    kind = f"coalesce(json_type(j, {path}), 'NULL')"
    found = f"coalesce(left(CAST(json_extract(j, {path}) AS VARCHAR), 60), 'nothing')"
    if column.type == "context":
        return context_from_json(f"json_extract(j, {path})", shape.context, found)
    if column.type == "creative":
        return creative_from_json(f"json_extract(j, {path})", shape.slots, found)
    text = f"json_extract_string(j, {path})"
    if column.type == "string":
        return Field(
            f"CASE WHEN {kind} = 'VARCHAR' THEN {text} END",
            f"{kind} NOT IN ('VARCHAR', 'NULL')",
            found,
        )
    if column.type == "timestamp":
        value = f"CASE WHEN {kind} = 'VARCHAR' THEN {instant(text)} END"
        return Field(value, f"{kind} <> 'NULL' AND {value} IS NULL", found)
    allowed = _JSON_NUMBER if column.type == "double" else "('BIGINT', 'UBIGINT')"
    typed = finite(text) if column.type == "double" else f"try_cast({text} AS BIGINT)"
    value = f"CASE WHEN {kind} IN {allowed} THEN {typed} END"
    return Field(value, f"{kind} <> 'NULL' AND {value} IS NULL", found)


def context_from_json(json: str, context: Mapping[str, str], found: str) -> Field:
    entries = []
    wrongs = [f"coalesce(json_type({json}), 'NULL') NOT IN ('OBJECT', 'NULL')"]
    for key, kind in context.items():
        path = quote(f'$."{key}"')
        type_of = f"json_type({json}, {path})"
        text = f"json_extract_string({json}, {path})"
        if kind == "number":
            value = f"CASE WHEN {type_of} IN {_JSON_NUMBER} THEN {finite(text)} END"
            entries.append(f"{quote(key)}: {value}")
            wrongs.append(f"(coalesce({type_of}, 'NULL') <> 'NULL' AND {value} IS NULL)")
        else:
            entries.append(f"{quote(key)}: CASE WHEN {type_of} = 'VARCHAR' THEN {text} END")
            wrongs.append(f"coalesce({type_of} NOT IN ('VARCHAR', 'NULL'), false)")
    value = struct(entries)
    present = f"CASE WHEN json_type({json}) = 'OBJECT' THEN {value} END"
    return Field(present, f"({' OR '.join(wrongs)})", found, costly=True)


def creative_from_json(json: str, slots: tuple[str, ...], found: str) -> Field:
    is_object = f"json_type({json}) = 'OBJECT'"
    twice = f"len(json_keys({json})) > len(list_distinct(json_keys({json})))"  # no map holds that
    kinds = f"list_transform(map_values(CAST({json} AS MAP(VARCHAR, JSON))), v -> json_type(v))"
    wrong = (
        f"CASE WHEN NOT coalesce({is_object}, false) "
        f"THEN coalesce(json_type({json}), 'NULL') <> 'NULL' WHEN {twice} THEN true "
        f"ELSE len(list_filter({kinds}, k -> k NOT IN ('VARCHAR', 'NULL'))) > 0 END"
    )
    paths = [quote(f'$."{slot}"') for slot in slots]
    by_slot = [
        f"{quote(slot)}: json_extract_string({json}, {path})"
        for slot, path in zip(slots, paths, strict=True)
    ]
    value = f"CASE WHEN {is_object} THEN CASE WHEN {twice} THEN NULL ELSE {struct(by_slot)} END END"
    as_map = f"CAST({json} AS MAP(VARCHAR, VARCHAR))"
    other = f"CASE WHEN {is_object} AND NOT {twice} THEN {other_slots(as_map, slots)} END"
    return Field(value, wrong, found, other, costly=True)
