"""How to read a column out of JSON: of a line, or of text, maps and mixed structs inside Parquet."""

from collections.abc import Iterable, Mapping

from components.ingest_logs.typed import Field, Shape, finite, instant, other_slots, struct
from components.sql import quote
from validation.contract import Column

_JSON_NUMBER = "('DOUBLE', 'BIGINT', 'UBIGINT', 'HUGEINT')"


def json_parts(columns: tuple[Column, ...]) -> str:
    """SQL of the values of the JSON object `j`, a list in order of the columns: `part`.

    Every JSON function reads its whole text and keeps room for it, so a text is taken apart once.
    """
    return _values("j", [column.name for column in columns])


def json_fields(columns: tuple[Column, ...], shape: Shape) -> dict[str, Field]:
    """How to read each column out of the list `part` (json_parts)."""
    return {
        column.name: _json_field(column, f"part[{place}]", shape)
        for place, column in enumerate(columns, start=1)
    }


def _values(json: str, keys: Iterable[str]) -> str:
    paths = ", ".join(quote(f'$."{key}"') for key in keys)
    return f"json_extract({json}, [{paths}])"


def _json_field(column: Column, part: str, shape: Shape) -> Field:
    kind = f"coalesce(json_type({part}), 'NULL')"
    found = f"coalesce(left(CAST({part} AS VARCHAR), 60), 'nothing')"
    if column.type == "context":
        return context_from_json(part, shape.context, found)
    if column.type == "creative":
        return creative_from_json(part, shape.slots, found)
    text = _text(part)
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


def _text(part: str) -> str:
    return f"json_extract_string({part}, '$')"


def context_from_json(json: str, context: Mapping[str, str], found: str) -> Field:
    type_of = f"json_type({json})"
    no_object = f"coalesce({type_of}, 'NULL') NOT IN ('OBJECT', 'NULL')"
    if not context:
        value = f"CASE WHEN {type_of} = 'OBJECT' THEN {struct([])} END"
        return Field(value, f"({no_object})", found, costly=True)
    entries, wrongs = [], []
    for place, (key, kind) in enumerate(context.items(), start=1):
        value = _context_value(f"c[{place}]", kind)
        entries.append(f"{quote(key)}: {value}")
        wrongs.append(f"(c[{place}] <> 'null' AND {value} IS NULL)")
    values = f"[CAST({_values(json, context)} AS VARCHAR[])]"
    value = f"list_transform({values}, c -> {struct(entries)})[1]"
    wrong = f"list_transform({values}, c -> {' OR '.join(wrongs)})[1]"
    return Field(
        f"CASE WHEN {type_of} = 'OBJECT' THEN {value} END",
        f"({no_object} OR coalesce({wrong}, false))",
        found,
        costly=True,
    )


def _context_value(text: str, kind: str) -> str:
    """SQL of a JSON value's text as a number or as text; null where it is of another type.

    The first letter tells the type of JSON that is known to be valid.
    """
    if kind == "number":
        return f"CASE WHEN {text} BETWEEN '-' AND ':' THEN {finite(text)} END"
    plain = f"CASE WHEN contains({text}, '\\') THEN {_text(text)} ELSE {text}[2:-2] END"
    return f"CASE WHEN starts_with({text}, '\"') THEN {plain} END"


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
