"""Tables and target lines as they are printed."""

import math
from collections.abc import Sequence


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown with aligned columns, the first to the left."""
    cells = [list(head), *map(list, rows)]
    wide = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| "
        + " | ".join(_set(c, w, i) for i, (c, w) in enumerate(zip(r, wide, strict=True)))
        + " |"
        for r in cells
    ]
    rule = (
        "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(wide)) + "|"
    )
    return "\n".join([f"\n{title}\n", lines[0], rule, *lines[1:]])


def _set(cell: str, wide: int, column: int) -> str:
    return cell.ljust(wide) if column == 0 else cell.rjust(wide)


def percent(share: float) -> str:
    return f"{share:+.2%}"


def between(low: float, high: float, digits: int = 2, share: bool = True) -> str:
    """An interval: +1.00 to +2.00 %, or plain numbers."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "-"
    if share:
        return f"{100 * low:+.{digits}f} to {100 * high:+.{digits}f} %"
    return f"{low:+.{digits}f} to {high:+.{digits}f}"


def number(value: float, digits: int = 3) -> str:
    return "-" if not math.isfinite(value) else f"{value:.{digits}f}"


def target(met: bool, what: str) -> str:
    """One line: PASS or FAIL, what was measured and what was asked."""
    return f"{'PASS' if met else 'FAIL'}  {what}"
