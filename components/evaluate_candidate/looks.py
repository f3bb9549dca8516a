"""Which look at the champion this is, as the ledger counts, and the level that it may spend.

A look is taken before the intervals are drawn, by an entry "looked" of its own. Its number is
the entry's place among those against the same champion, so two runs at once can't have the same
one, and a run that dies has spent its look whether or not a judgement follows.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from components.adapters.ledger import Ledger
from model.evaluation.spending import Look, take

LOOKED = "looked"
CROWNED = ("promoted", "rolled back")


def take_look(
    ledger: Ledger,
    attempt: str,
    champion: int | None,
    ds: str,
    level: float,
    clock: Callable[[], datetime],
) -> Look:
    """The look of this attempt at this champion: the one it took before, else the next.

    level: of all looks together. Raises Failed where the ledger was cut or changed.
    """
    taken = attempts_since(ledger.entries(), champion)
    if attempt not in taken:
        ledger.append(LOOKED, clock(), attempt=attempt, champion=champion, ds=ds)
        taken = attempts_since(ledger.entries(), champion)
    return take(taken.index(attempt) + 1, level)


def look_without_taking(ledger: Ledger, attempt: str, champion: int | None, level: float) -> Look:
    """The look that this attempt took, or would have next; the ledger stays as it is."""
    taken = attempts_since(ledger.entries(), champion)
    number = taken.index(attempt) if attempt in taken else len(taken)
    return take(number + 1, level)


def attempts_since(entries: list[dict[str, Any]], champion: int | None) -> list[str]:
    """The attempts that looked at this champion since it became so, each once, oldest first."""
    found: dict[str, None] = {}
    for entry in entries:
        if _crowns(entry, champion):
            found.clear()
        elif entry["kind"] == LOOKED and entry["champion"] == champion:
            found[entry["attempt"]] = None
    return list(found)


def _crowns(entry: dict[str, Any], champion: int | None) -> bool:
    """Whether the entry made it champion in place of another; crowning it again changes nothing."""
    if entry["kind"] not in CROWNED or entry["version"] != champion:
        return False
    return entry.get("before") != champion
