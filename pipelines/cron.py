"""Whether a cron makes sense to Kubeflow Pipelines: six fields, seconds first, in UTC."""

import re
from collections.abc import Sequence

from components.errors import WrongUse

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIELDS: tuple[tuple[str, int, int, Sequence[str]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def check_cron(cron: str, where: str) -> None:
    """Nothing, or WrongUse that says which field is no time, or that the time never comes."""
    parts = cron.split()
    if len(parts) != len(FIELDS):
        hint = f"; did you mean '0 {cron}'" if len(parts) == 5 and _is_cron(f"0 {cron}") else ""
        raise WrongUse(
            f"{where}: cron {cron!r} has {len(parts)} fields, expected six (second minute hour "
            f"day-of-month month day-of-week), such as '0 30 3 * * *'{hint}"
        )
    times = [_times(part, field, cron, where) for part, field in zip(parts, FIELDS, strict=True)]
    if len(times[0]) > 1:
        raise WrongUse(f"{where}: cron {cron!r} fires more than once a minute; a day is run once")
    if parts[5] in ("*", "?") and all(min(times[3]) > LONGEST[month - 1] for month in times[4]):
        raise WrongUse(f"{where}: cron {cron!r} never fires: no such month has such a day")


def _is_cron(cron: str) -> bool:
    try:
        check_cron(cron, "")
    except WrongUse:
        return False
    return True


def _times(part: str, field: tuple[str, int, int, Sequence[str]], cron: str, where: str) -> set:
    name, lowest, highest, names = field
    found: set[int] = set()
    for piece in part.split(","):
        spelled = re.fullmatch(r"(\*|\?|(\w+)(?:-(\w+))?)(?:/(\d+))?", piece)
        try:
            if spelled is None:
                raise ValueError(piece)
            every, first, last, step = spelled.groups()
            begin = lowest if every in ("*", "?") else _number(first, names)
            end = highest if every in ("*", "?") else _number(last or first, names)
            end = highest if step and not last else end
            if not lowest <= begin <= end <= highest or (step and int(step) < 1):
                raise ValueError(piece)
        except ValueError:
            raise WrongUse(
                f"{where}: cron {cron!r} has {piece!r} as {name}, expected {lowest} to {highest}, "
                "a range, a list or a step"
            ) from None
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


def _number(text: str, names: Sequence[str]) -> int:
    return names.index(text.upper()) + (len(names) == 12) if text.upper() in names else int(text)
