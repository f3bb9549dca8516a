"""Which displays are test traffic or declared bots: patterns by column, as SQL (DuckDB, Spark).

A column is one of COLUMNS or a declared context field, `context.<field>`. In a pattern `*` stands
for any text and `?` for one letter; everything else is meant as it is written.
"""

from collections.abc import Mapping

from components.sql import quote

COLUMNS = ("impression_id", "user_id", "product_id", "policy")


def check_test_traffic(patterns: Mapping[str, tuple[str, ...]], context: Mapping[str, str]) -> None:
    """Nothing, or ValueError naming the column that no display has."""
    fields = [f"context.{field}" for field, kind in context.items() if kind == "categorical"]
    known = [*COLUMNS, *fields]
    for column, listed in patterns.items():
        if column not in known:
            raise ValueError(f"{column!r} is no column; expected one of {', '.join(known)}")
        if "" in listed:
            raise ValueError(f"{column} holds an empty pattern; take it out")


def test_traffic_sql(patterns: Mapping[str, tuple[str, ...]]) -> str:
    """SQL over a display `s`: column=value of the first match, null where there is none."""
    cases = [
        f"WHEN {_place(column)} LIKE {quote(_like(pattern))} ESCAPE '!' "
        f"THEN {quote(column + '=')} || {_place(column)}"
        for column, listed in patterns.items()
        for pattern in listed
    ]
    return f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS VARCHAR)"


def _place(column: str) -> str:
    if column == "impression_id":
        return "s.bag_id"
    kind, _, field = column.partition(".")
    return (
        f"struct_extract(s.context, {quote(field)})"
        if kind == "context" and field
        else f"s.{column}"
    )


def _like(pattern: str) -> str:
    for letter in "!%_":
        pattern = pattern.replace(letter, f"!{letter}")
    return pattern.replace("*", "%").replace("?", "_")
