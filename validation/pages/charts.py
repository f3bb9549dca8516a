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
MOST_TICKS = 10
SPARK_STEP = 7
SPARK_HIGH = 20


def hour_columns(
    hours: Sequence[Mapping[str, Any]], bands: Sequence[Sequence[float] | None] = ()
) -> Markup:
    """24 columns, set-aside displays upon kept ones; hours: {hour, impressions, unfit}.

    bands: (low, high) of the displays usual in each hour, None where that is not known.
    """
    by_hour = {row["hour"]: (row["impressions"], row["unfit"]) for row in hours}
    usual = dict(enumerate(bands))
    known = [band[1] for band in bands if band is not None]
    top = scale_over([*known, *(kept + unfit for kept, unfit in by_hour.values())]).high
    parts = _levels([(at, f"{at:,.0f}") for at in (top, top / 2) if at == int(at)], top)
    for hour in range(HOURS):
        kept, unfit = by_hour.get(hour, (0, 0))
        band = usual.get(hour)
        parts.append(Markup("") if band is None else _band(hour, band, top))
        parts += [_column(hour, 0, kept, top, "amount"), _column(hour, kept, unfit, top, "lost")]
        if hour % LABEL_EVERY == 0:
            parts.append(_label(100 * (hour + 0.5) / HOURS, f"{hour:02d}", "middle"))
    return _drawing(parts, _hours_in_words(by_hour))


def _band(hour: int, band: Sequence[float], top: float) -> Markup:
    """What is usual in the hour, as wide as the hour, behind its column."""
    low, high = (_height(at, top) for at in band)
    return Markup('<rect class="band" x="{}%" y="{}" width="{}%" height="{}"/>').format(
        f"{100 * hour / HOURS:.2f}",
        f"{high:.1f}",
        f"{100 / HOURS:.2f}",
        f"{max(low - high, 1):.1f}",
    )


def outside_hours(
    hours: Sequence[Mapping[str, Any]], bands: Sequence[Sequence[float] | None]
) -> list[int] | None:
    """Hours whose fit displays lie outside their band; None where no band is known."""
    if not any(band is not None for band in bands):
        return None
    fit = {row["hour"]: row["impressions"] for row in hours}
    return [
        hour
        for hour, band in enumerate(bands)
        if band is not None and not band[0] <= fit.get(hour, 0) <= band[1]
    ]


def _hours_in_words(by_hour: Mapping[int, tuple[int, int]]) -> str:
    if not by_hour:
        return "Displays by hour: none in any hour"
    most = max(sorted(by_hour), key=lambda hour: sum(by_hour[hour]))
    silent = HOURS - sum(1 for kept, unfit in by_hour.values() if kept + unfit > 0)
    return (
        f"Displays by hour (UTC): most at {most:02d}:00 with {sum(by_hour[most]):,}; "
        f"{silent} hours without any"
    )


def lag_curve(lag: Mapping[str, Any], kind: str) -> Markup:
    """Share of events that had come so long after the display, a rising line.

    lag: {window_hours, points: [{hours, share}]}; points rise to 1 within the window.
    """
    unit, size = lag_unit(lag["window_hours"])
    end = lag["window_hours"]
    points = [(one["hours"] / end, one["share"]) for one in lag["points"]]
    parts = _levels([(1.0, "100 %"), (0.5, "50 %")], 1.0, right=True)
    for (x0, y0), (x1, y1) in zip([(0.0, 0.0), *points], points, strict=False):
        parts.append(
            Markup('<line class="curve" x1="{}%" y1="{}" x2="{}%" y2="{}"/>').format(
                f"{100 * x0:.2f}",
                f"{_height(y0, 1.0):.1f}",
                f"{100 * x1:.2f}",
                f"{_height(y1, 1.0):.1f}",
            )
        )
    whole = end / size
    ticks = int(whole) if whole == int(whole) and whole <= MOST_TICKS else 4
    for at in range(ticks + 1):
        anchor = "start" if at == 0 else "end" if at == ticks else "middle"
        parts.append(_label(100 * at / ticks, f"{at * whole / ticks:.3g}", anchor))
    reached = ", ".join(f"{share:.0%} within {say}" for share, say in lag_quantiles(lag))
    return _drawing(parts, f"Share of {kind} by {unit} after the display: {reached}")


def lag_unit(window_hours: float) -> tuple[str, float]:
    """(unit, hours in it) in which lags within the window read well."""
    if window_hours <= 3:
        return "minutes", 1 / 60
    return ("hours", 1.0) if window_hours <= 72 else ("days", 24.0)


def lag_quantiles(lag: Mapping[str, Any]) -> list[tuple[float, str]]:
    """(share, the time within which it had come) of half, nine tenths and 99 in 100."""
    return [(share, duration(_reached(lag["points"], share))) for share in (0.5, 0.9, 0.99)]


def _reached(points: Sequence[Mapping[str, Any]], share: float) -> float:
    return next((one["hours"] for one in points if one["share"] >= share - 1e-9), math.nan)


def duration(hours: float) -> str:
    """2 min, 3.5 h, 2 days; a dash where it is not known."""
    if math.isnan(hours):
        return "–"
    if hours < 1:
        return f"{60 * hours:.2g} min"
    return f"{hours:.3g} h" if hours < 48 else f"{hours / 24:.2g} days"


def spark(counts: Sequence[int | None], says: str) -> Markup:
    """A small column a day: failed rows against the most of these days; a dot: not known."""
    top = max((one for one in counts if one), default=1)
    parts = []
    for at, count in enumerate(counts):
        x = at * SPARK_STEP
        high = 1 if not count else max(2.0, (SPARK_HIGH - 2) * count / top)
        style = "unknown" if count is None else "quiet" if not count else "lost-day"
        parts.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                style, x, f"{SPARK_HIGH - high:.1f}", SPARK_STEP - 2, f"{high:.1f}"
            )
        )
    opening = Markup('<svg class="spark" role="img" aria-label="{}" width="{}" height="{}">')
    size = (len(counts) * SPARK_STEP, SPARK_HIGH)
    return opening.format(says, *size) + Markup("").join(parts) + Markup("</svg>")


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


def _levels(levels: Sequence[tuple[float, str]], top: float, right: bool = False) -> list[Markup]:
    """Lines at these levels with their names at one side, where the drawing leaves them room."""
    floor = Markup('<line class="zero" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(FLOOR)
    line = Markup(
        '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
        '<text x="{3}" y="{1}" text-anchor="{4}">{2}</text>'
    )
    side = ("100%", "end") if right else ("0", "start")
    drawn = [
        (f"{_height(at, top):.1f}", f"{_height(at, top) - 4:.1f}", name) for at, name in levels
    ]
    return [line.format(*one, *side) for one in drawn] + [floor]


def _label(x: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>').format(
        f"{x:.2f}", HEIGHT - 6, anchor, text
    )


def _drawing(parts: Sequence[Markup], says: str) -> Markup:
    opening = Markup('<svg class="chart" role="img" aria-label="{}" height="{}" width="100%">')
    return opening.format(says, HEIGHT) + Markup("").join(parts) + Markup("</svg>")
