"""One plot of the loop as SVG: clicks lost so far against the best possible, a line a policy."""

from collections.abc import Sequence
from html import escape

import numpy as np

from examples.loop.play import Match
from examples.loop.told import OURS, lost, names_of, tracks_of

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 52, 48
COLOURS = (
    "#7a5195", "#bc5090", "#ef5675", "#d98200", "#5b7c99", "#4c8c4a", "#8c6d46", "#888888",
)  # fmt: skip
OWN = "#0a4d8c"
STEPS = 5  # between grid lines
LABEL = 15.0  # least distance of two labels


def plot(matches: Sequence[Match]) -> str:
    """The drawing: mean over shops, a band from the lowest to the highest of ours."""
    names = names_of(matches)
    curves = {n: np.stack([lost(m, t) for m, t in tracks_of(matches, n)]) for n in names}
    days = len(matches[0].best)
    top = max(float(curve.mean(0)[-1]) for curve in curves.values())
    frame = Frame(days, _round_up(top))
    parts = _axes(frame, matches)
    if OURS in curves:
        parts += _band(frame, curves[OURS])
    others = iter(COLOURS * (len(names) // len(COLOURS) + 1))
    colour = {name: OWN if name == OURS else next(others) for name in names}
    parts += [_line(frame, curves[n].mean(0), colour[n], n == OURS) for n in reversed(names)]
    parts += _labels(frame, {n: float(curves[n].mean(0)[-1]) for n in names}, colour)
    said = f"Regret over {days} days, the least first: {', '.join(names)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(said)}" font-family="system-ui, sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


class Frame:
    """Days from left to right, regret from the bottom up."""

    def __init__(self, days: int, top: float):
        self.days, self.top = days, top

    def x(self, day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * day / self.days

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


def _round_up(value: float) -> float:
    """The least round number of five equal steps that holds the value."""
    rough = max(value, 1e-9) / STEPS
    magnitude = 10.0 ** np.floor(np.log10(rough))
    return STEPS * float(
        magnitude * next(m for m in (1, 1.2, 1.5, 2, 3, 4, 5, 10) if m * magnitude >= rough)
    )


def _axes(frame: Frame, matches: Sequence[Match]) -> list[str]:
    parts = [
        f'<text x="{LEFT}" y="22" font-size="15" fill="#1a1a1a">Clicks lost so far against the '
        "best possible, for a thousand displays a day</text>",
        f'<text x="{LEFT}" y="40" fill="#555555">mean of {len(matches)} simulated shops of '
        f"{matches[0].displays:,} displays a day</text>",
    ]
    for tick in np.linspace(0, frame.top, STEPS + 1):
        y = frame.y(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                     'stroke="#e3e3e3"/>')  # fmt: skip
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#555555">{tick:g}</text>'
        )
    for day in range(0, frame.days + 1, max(1, frame.days // 10)):
        parts.append(f'<text x="{frame.x(day):.1f}" y="{HEIGHT - BOTTOM + 18}" '
                     f'text-anchor="middle" fill="#555555">{day}</text>')  # fmt: skip
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle" fill="#555555">day</text>'
    )
    return parts


def _points(frame: Frame, values: np.ndarray) -> str:
    whole = [0.0, *values.tolist()]
    return " ".join(f"{frame.x(day):.1f},{frame.y(v):.1f}" for day, v in enumerate(whole))


def _band(frame: Frame, curve: np.ndarray) -> list[str]:
    upper = _points(frame, curve.max(0)).split()
    lower = _points(frame, curve.min(0)).split()
    outline = " ".join(upper + lower[::-1])
    return [f'<polygon points="{outline}" fill="{OWN}" opacity="0.13"/>']


def _line(frame: Frame, mean: np.ndarray, colour: str, ours: bool) -> str:
    width = 3 if ours else 1.5
    return (
        f'<polyline points="{_points(frame, mean)}" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" stroke-linejoin="round"/>'
    )


def _labels(frame: Frame, ends: dict[str, float], colour: dict[str, str]) -> list[str]:
    """Names at the lines' ends, moved apart where they would overlap."""
    parts, below = [], float("inf")
    for name, value in sorted(ends.items(), key=lambda item: item[1]):
        y = min(frame.y(value) + 4, below - LABEL)
        below = y
        weight = ' font-weight="600"' if name == OURS else ""
        parts.append(
            f'<text x="{WIDTH - RIGHT + 8}" y="{y:.1f}" fill="{colour[name]}"{weight}>'
            f"{escape(name)} {value:.0f}</text>"
        )
    return parts
