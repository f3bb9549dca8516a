"""How the pages are rendered: escaped, strict templates, numbers as people read them, data as JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

UNSAFE_IN_SCRIPT = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page of a template in this folder; every value is escaped, an unknown name raises."""
    environment = Environment(
        loader=PackageLoader("validation", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "percent": percent,
        "number": number,
        "when": when,
        "pairs": pairs,
    }
    return environment.get_template(template).render(embed=embed, **values)


def embed(value: Any) -> Markup:
    """JSON for a script element of type application/json, with nothing that could close it.

    nan and infinity are null.
    """
    text = json.dumps(_finite(value), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return Markup("".join(UNSAFE_IN_SCRIPT.get(letter, letter) for letter in text))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def absent(value: Any) -> bool:
    """True for None and nan."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def count(value: float | None) -> str:
    """1,234; a dash where it is unknown."""
    return "–" if value is None or absent(value) else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """12.3 %; a dash where it is unknown."""
    return "–" if value is None or absent(value) else f"{100 * value:.3g}\N{NO-BREAK SPACE}%"


def number(value: Any, digits: int = 4) -> str:
    """Four digits that matter; text as it is, a dash where it is unknown."""
    if isinstance(value, str):
        return value
    if absent(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def when(value: str | None) -> str:
    """2026-11-23 10:00 UTC of an ISO time; a dash where it is unknown."""
    if not value:
        return "–"
    return value[:16].replace("T", " ") + (" UTC" if len(value) > 10 else "")


def pairs(mapping: Mapping[str, Any]) -> str:
    """placement=top, device=phone"""
    return ", ".join(f"{name}={value}" for name, value in mapping.items())
