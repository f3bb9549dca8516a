"""Columns of the logs that came, went or changed their family since the day before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Columns = Mapping[str, Mapping[str, Sequence[str]]]  # kind -> column -> families


@dataclass(frozen=True)
class Change:
    """One column of one kind of log; was and now are families, empty where it is not there."""

    kind: str
    column: str
    change: Literal["added", "removed", "retyped"]
    was: str
    now: str
    against: str

    @property
    def says(self) -> str:
        """The change in words."""
        name = f"column {self.column} of {self.kind}"
        if self.change == "added":
            return f"{name} was added since {self.against} ({self.now})"
        if self.change == "removed":
            return f"{name} was removed since {self.against} ({self.was} then)"
        return f"{name} was retyped: {self.was} on {self.against}, {self.now} now"


def schema_changes(before: Columns, now: Columns, against: str) -> list[Change]:
    """Every changed column of the kinds that both days have, in order of kind and column.

    A kind without files on one of the days says nothing of its columns.
    """
    found = []
    for kind in sorted(set(before) & set(now)):
        for column in sorted(set(before[kind]) | set(now[kind])):
            was, then = (_words(one[kind].get(column, ())) for one in (before, now))
            if was != then:
                change = "added" if not was else "removed" if not then else "retyped"
                found.append(Change(kind, column, change, was, then, against))
    return found


def _words(families: Sequence[str]) -> str:
    return " or ".join(families)
