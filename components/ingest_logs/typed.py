"""Any log file -> rows of the contract's types, each problem named (pure SQL text).

Two sources: Parquet columns as they are (typed_parquet.py), or JSON Lines as text (typed_json.py).
Both give the same columns: file, row (from 1), dt, the contract's columns typed, `readable`, and
`problems`, a list of {rule, message} that is empty for a row that could be read whole. A creative
becomes a struct of the config's slots, and `other_slots` names what it holds beside them. Types
are strict: "0.5" is not a number, since a producer that changed a type should hear of it. ISO text
is taken as a timestamp.
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


@dataclass(frozen=True)
class Shape:
    """What a source's config says of a row: context fields with their kinds, slots in order."""

    context: Mapping[str, str]
    slots: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """A column's SQL: its typed value, and whether what was found has the wrong type.

    other: of a creative, the slots that the config does not know, as text. costly: whether the
    value takes so long to work out that it is better kept than worked out again.
    """

    value: str
    wrong: str
    found: str
    other: str = "NULL::VARCHAR"
    costly: bool = False


def typed_select(
    columns: tuple[Column, ...],
    fields: Mapping[str, Field],
    relation: str,
    broken: str = "false",
    why_broken: str = "''",
    extra: str = "",
) -> str:
    """SELECT of file, row, dt, every contract column, readable and problems from a relation.

    broken: SQL of the rows of which no column can be read, and why_broken of the reason's text.
    """
    values = [f"{fields[column.name].value} AS {name(column.name)}" for column in columns]
    values += [f"{fields[c.name].other} AS other_slots" for c in columns if c.type == "creative"]
    checks = [_problem(column, fields[column.name]) for column in columns]
    problems = (
        f"CASE WHEN {broken} THEN [{_reason('json', why_broken)}] "
        f"ELSE list_filter([{', '.join(checks)}], p -> p IS NOT NULL) END"
    )
    faults = [broken, *(fault for c in columns for fault in _faults(c, fields[c.name]))]
    readable = f"NOT coalesce({' OR '.join(f for f in faults if f != 'false') or 'false'}, false)"
    return (
        f"SELECT file, row, dt, {', '.join(values)}, {readable} AS readable, "
        f"{problems} AS problems{extra} FROM {relation}"
    )


def _faults(column: Column, field: Field) -> tuple[str, ...]:
    """SQL of having the wrong type, and of being absent where that is not allowed."""
    if not column.required:
        return (f"({field.wrong})",) if field.wrong != "false" else ()
    empty = f"({field.value}) IS NULL"
    if column.type == "string":
        empty = f"coalesce({field.value}, '') = ''"
    return (f"({field.wrong})", empty) if field.wrong != "false" else (empty,)


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
        empty = _faults(column, field)[-1]
        cases.append(f"WHEN {empty} THEN {_reason('missing.' + column.name, missing)}")
    return f"CASE {' '.join(cases)} END"


def instant(text: str) -> str:
    """SQL of a text's UTC timestamp; null where it names none (infinity is none).

    A year has four digits (ISO 8601): near the end of its calendar DuckDB raises in another time
    zone instead of giving null.
    """
    long_year = f"regexp_matches({text}, '^\\s*[+-]?[0-9]{{5,}}')"
    short = f"CASE WHEN NOT {long_year} THEN {text} END"
    instant = f"CAST(try_cast({short} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"CASE WHEN isfinite({instant}) THEN {instant} END"


def finite(text: str) -> str:
    """SQL of a text's number; null where it is none or too large for a double."""
    number = f"try_cast({text} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def struct(entries: list[str]) -> str:
    return "{" + (", ".join(entries) if entries else "'none': NULL::VARCHAR") + "}"


def other_slots(creative: str, slots: tuple[str, ...]) -> str:
    """SQL of the slots of a MAP beside the known ones, in order; null where there are none."""
    known = ", ".join(quote(slot) for slot in slots)
    entries = (
        f"list_filter(map_entries({creative}), e -> e.value IS NOT NULL AND e.key NOT IN ({known}))"
    )
    return f"nullif(array_to_string(list_sort(list_transform({entries}, e -> e.key)), ', '), '')"
