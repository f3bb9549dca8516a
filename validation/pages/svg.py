"""Small plots as inline SVG: strips of an interval on a shared scale, their axis, and bars.

Positions are percentages and text is set in pixels, so a plot is as wide as its place and still
readable at 400 px. Colours come from style.css.j2. Everything returned is escaped markup.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

HEIGHT = 26
MIDDLE = HEIGHT / 2
EDGE = 3.0


@dataclass(frozen=True)
class Scale:
    """A range of values, drawn from left to right."""

    low: float
    high: float
    step: float

    def at(self, value: float) -> str:
        """Where a value lies, as a percentage; beyond the range it is kept at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return f"{EDGE + (100 - 2 * EDGE) * min(max(share, 0.0), 1.0):.2f}%"

    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [self.low + k * self.step for k in range(count + 1)]


def scale_over(values: Iterable[float | None]) -> Scale:
    """A round range that holds 0 and every finite value, in at most 7 steps."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if low == high:
        high = 1.0
    step = _round_step((high - low) / 5)
    return Scale(math.floor(low / step) * step, math.ceil(high / step) * step, step)


def _round_step(rough: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= rough * 0.999)


def strip(
    interval: Sequence[float | None],
    scale: Scale,
    *,
    says: str,
    tone: str = "",
    margin: float | None = None,
    wide: Sequence[float | None] = (),
) -> Markup:
    """One row of a forest plot.

    interval: value, low, high (None: no such bound); wide: low and high of a second, wider
    interval; margin: a threshold drawn dashed; says: the row in words, for who can't see it.
    """
    value, low, high = interval
    parts = [_upright(0.0, scale, "zero")]
    if margin is not None and margin != 0:
        parts.append(_upright(margin, scale, "margin"))
    for bounds, style in ((tuple(wide), "wide"), ((low, high), "reach")):
        if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None:
            parts.append(_level(bounds[0], bounds[1], scale, style))
    if value is not None:
        parts.append(
            Markup('<circle class="point" cx="{}" cy="{}" r="4"/>').format(scale.at(value), MIDDLE)
        )
    return _drawing(parts, HEIGHT, says, f"strip {tone}")


def axis(scale: Scale, unit: str) -> Markup:
    """Ticks with their numbers, and the unit below."""
    digits = max(0, -math.floor(math.log10(scale.step)))
    parts = [
        Markup('<text x="{}" y="12" text-anchor="middle">{}</text>').format(
            scale.at(tick), _signed(tick, digits)
        )
        for tick in scale.ticks()
    ]
    parts.append(Markup('<text x="50%" y="28" text-anchor="middle">{}</text>').format(unit))
    return _drawing(parts, 32, f"scale in {unit}", "strip")


def two_sided_bar(value: float | None, reach: float, says: str) -> Markup:
    """A bar from the middle: to the right above 0, to the left below; `reach` fills a side."""
    parts = [Markup('<line class="zero" x1="50%" x2="50%" y1="1" y2="15"/>')]
    if value is not None and reach > 0:
        width = 50 * min(abs(value) / reach, 1.0)
        left = 50.0 if value >= 0 else 50 - width
        parts.append(
            Markup('<rect class="{}" x="{}%" y="4" width="{}%" height="8" rx="1"/>').format(
                "up" if value >= 0 else "down", f"{left:.2f}", f"{width:.2f}"
            )
        )
    return _drawing(parts, 16, says, "bar")


def bar(value: float | None, whole: float, says: str) -> Markup:
    """A bar from the left, `whole` filling it."""
    width = 100 * min(max((value or 0.0) / whole, 0.0), 1.0) if whole > 0 else 0.0
    rect = Markup('<rect class="amount" x="0" y="4" width="{}%" height="8" rx="1"/>')
    return _drawing([rect.format(f"{width:.2f}")], 16, says, "bar")


def marked_bar(value: float, mark: float, whole: float, says: str) -> Markup:
    """A bar from the left with an upright mark to compare it with, `whole` filling it."""
    width, at = (
        100 * min(max(one / whole, 0.0), 1.0) if whole > 0 else 0.0 for one in (value, mark)
    )
    rect = Markup('<rect class="amount" x="0" y="4" width="{}%" height="8" rx="1"/>')
    line = Markup('<line class="zero" x1="{0}%" x2="{0}%" y1="1" y2="15"/>')
    return _drawing([rect.format(f"{width:.2f}"), line.format(f"{at:.2f}")], 16, says, "bar")


def _signed(value: float, digits: int) -> str:
    rounded = round(value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if rounded else "0"


def _upright(value: float, scale: Scale, style: str) -> Markup:
    x = scale.at(value)
    return Markup('<line class="{}" x1="{}" x2="{}" y1="0" y2="{}"/>').format(style, x, x, HEIGHT)


def _level(low: float, high: float, scale: Scale, style: str) -> Markup:
    line = Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    return line.format(style, scale.at(low), scale.at(high), MIDDLE, MIDDLE)


def _drawing(parts: list[Markup], height: float, says: str, style: str) -> Markup:
    opening = Markup('<svg class="{}" role="img" aria-label="{}" height="{}" width="100%">')
    inside = Markup("").join(parts)
    return opening.format(style.strip(), says, height) + inside + Markup("</svg>")
