"""Rows of the data page beyond the checks of single rows: findings by section, drift by field."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from validation.pages.svg import marked_bar

CHIP = {
    "pass": ("pass", "as usual"),
    "warn": ("insufficient", "unusual"),
    "insufficient": ("insufficient", "can't be told"),
}
ARRIVAL = ("schema", "volume", "freshness")


def by_section(findings: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """{arrival, labels}: findings with their chip, warnings first; drift has its own table."""
    told = [{**one, "chip": CHIP[one["outcome"]]} for one in findings if one["check"] != "drift"]
    told.sort(key=lambda one: ("warn", "insufficient", "pass").index(one["outcome"]))
    return {
        "arrival": [one for one in told if one["check"] in ARRIVAL],
        "labels": [one for one in told if one["check"] not in ARRIVAL],
    }


def drift_rows(
    drift: Sequence[Mapping[str, Any]], findings: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Fields that could be compared, the most drifted first, with a bar to one scale."""
    outcomes = {one["subject"]: one["outcome"] for one in findings if one["check"] == "drift"}
    known = [one for one in drift if one["psi"] is not None and math.isfinite(one["psi"])]
    top = max((max(one["psi"], one["psi_null"]) for one in known), default=1.0)
    return [
        {key: value if _is_told(value) else None for key, value in one.items()}
        | {"chip": CHIP[outcomes.get(one["field"], "pass")], "bar": _bar(one, top)}
        for one in sorted(known, key=lambda one: (-one["psi"], one["field"]))
    ]


def _is_told(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _bar(one: Mapping[str, Any], top: float) -> Any:
    says = f"PSI {one['psi']:.3f}, by chance up to {one['psi_null']:.3f}"
    return marked_bar(one["psi"], one["psi_null"], top, says)
