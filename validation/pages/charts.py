"""Charts of the data page as inline SVG: displays by hour, and how late clicks come.

Positions across are percentages and text is set in pixels, as in svg.py, so that a chart fills
its place and can be read at 400 px. Colours come from style.css.j2.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from validation.pages.svg import scale_over

HEIGHT = 170
TOP = 18
FLOOR = HEIGHT - 22
HOURS = 24
LABEL_EVERY = 3
DRAWN = 120
LONG = 180


def hour_columns(hours: Sequence[Mapping[str, Any]]) -> Markup:
    """24 columns, set-aside displays upon kept ones; hours: {hour, impressions, unfit}."""
    by_hour = {row["hour"]: (row["impressions"], row["unfit"]) for row in hours}
    top = scale_over([kept + unfit for kept, unfit in by_hour.values()]).high
    parts = _levels([(at, f"{at:,.0f}") for at in (top, top / 2) if at == int(at)], top)
    for hour in range(HOURS):
        kept, unfit = by_hour.get(hour, (0, 0))
        parts += [_column(hour, 0, kept, top, "amount"), _column(hour, kept, unfit, top, "lost")]
        if hour % LABEL_EVERY == 0:
            parts.append(_label(100 * (hour + 0.5) / HOURS, f"{hour:02d}", "middle"))
    return _drawing(parts, _hours_in_words(by_hour))


def _hours_in_words(by_hour: Mapping[int, tuple[int, int]]) -> str:
    if not by_hour:
        return "Displays by hour: none in any hour"
    most = max(sorted(by_hour), key=lambda hour: sum(by_hour[hour]))
    silent = HOURS - sum(1 for kept, unfit in by_hour.values() if kept + unfit > 0)
    return (
        f"Displays by hour (UTC): most at {most:02d}:00 with {sum(by_hour[most]):,}; "
        f"{silent} hours without any"
    )


def lag_curve(lag: Sequence[Mapping[str, Any]]) -> Markup:
    """Share of clicks that had come so many minutes after the display, a rising line.

    lag: {minutes, clicks}, minutes whole and rounded down.
    """
    points = cumulative(lag)
    unit, size = lag_unit(points)
    scale = scale_over([points[-1][0] / size if points else 1.0])
    drawn = [*points[:: 1 + len(points) // DRAWN], *points[-1:]]
    across = [(100 * at / size / scale.high, share) for at, share in drawn]
    parts = _levels([(1.0, "100 %"), (0.5, "50 %")], 1.0)
    for (x0, y0), (x1, y1) in zip([(0.0, 0.0), *across], across, strict=False):
        parts.append(
            Markup('<line class="curve" x1="{}%" y1="{}" x2="{}%" y2="{}"/>').format(
                f"{x0:.2f}", f"{_height(y0, 1.0):.1f}", f"{x1:.2f}", f"{_height(y1, 1.0):.1f}"
            )
        )
    for tick in scale.ticks():
        anchor = "start" if tick == 0 else "end" if tick == scale.high else "middle"
        parts.append(_label(100 * tick / scale.high, f"{tick:g}", anchor))
    reached = ", ".join(
        f"{share:.0%} within {quantile(points, share):g} minutes" for share in (0.5, 0.9, 1.0)
    )
    return _drawing(parts, f"Share of clicks by {unit} after the display: {reached}")


def lag_unit(points: Sequence[tuple[float, float]]) -> tuple[str, float]:
    """(unit, minutes in it) in which the longest lag reads well."""
    return ("hours", 60.0) if points and points[-1][0] > LONG else ("minutes", 1.0)


def cumulative(lag: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """(minutes, share of clicks that had come by then), rising to 1; empty without clicks."""
    total, so_far, points = sum(row["clicks"] for row in lag), 0, []
    for row in sorted(lag, key=lambda row: row["minutes"]):
        so_far += row["clicks"]
        points.append((row["minutes"] + 1.0, so_far / total))
    return points


def quantile(points: Sequence[tuple[float, float]], share: float) -> float:
    """Minutes after which this share of clicks had come; nan without clicks."""
    return next((minutes for minutes, reached in points if reached >= share - 1e-12), math.nan)


def _height(value: float, top: float) -> float:
    return FLOOR - (FLOOR - TOP) * value / top


def _column(hour: int, below: float, value: float, top: float, style: str) -> Markup:
    if not value:
        return Markup("")
    y = _height(below + value, top)
    return Markup('<rect class="{}" x="{}%" y="{}" width="{}%" height="{}"/>').format(
        style,
        f"{100 * (hour + 0.1) / HOURS:.2f}",
        f"{y:.1f}",
        f"{80 / HOURS:.2f}",
        f"{max(_height(below, top) - y, 1.0):.1f}",
    )


def _levels(levels: Sequence[tuple[float, str]], top: float) -> list[Markup]:
    floor = Markup('<line class="zero" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(FLOOR)
    line = Markup(
        '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text x="0" y="{1}">{2}</text>'
    )
    drawn = [
        (f"{_height(at, top):.1f}", f"{_height(at, top) - 4:.1f}", name) for at, name in levels
    ]
    return [line.format(*one) for one in drawn] + [floor]


def _label(x: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>').format(
        f"{x:.2f}", HEIGHT - 6, anchor, text
    )


def _drawing(parts: Sequence[Markup], says: str) -> Markup:
    opening = Markup('<svg class="chart" role="img" aria-label="{}" height="{}" width="100%">')
    return opening.format(says, HEIGHT) + Markup("").join(parts) + Markup("</svg>")
