"""Sampled products as the page shows them: both cards side by side, with attribution bars."""

from collections.abc import Mapping
from typing import Any

from validation.pages import svg
from validation.pages.rendering import absent


def card_pairs(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cards, largest disagreement first, each element with its bar and whether it differs."""
    reach = max(
        (
            abs(e["contribution"])
            for c in cards
            for s in _sides(c)
            for e in s["elements"]
            if not absent(e.get("contribution"))
        ),
        default=0.0,
    )
    order = sorted(cards, key=lambda card: -card["disagreement"])
    return [card | {"sides": _drawn_sides(card, reach)} for card in order]


def _sides(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [card[side] for side in ("challenger", "incumbent") if card.get(side)]


def _drawn_sides(card: Mapping[str, Any], reach: float) -> list[dict[str, Any]]:
    shown = [{(e["slot"], e["element_id"]) for e in side["elements"]} for side in _sides(card)]
    common = set.intersection(*shown) if shown else set()
    return [
        {
            "who": who,
            "probability": side.get("probability"),
            "predicted": side.get("predicted"),
            "elements": [_drawn_element(e, common, reach) for e in side["elements"]],
        }
        for who, side in zip(("challenger", "incumbent"), _sides(card), strict=False)
    ]


def _drawn_element(
    element: Mapping[str, Any], common: set[tuple[str, str]], reach: float
) -> dict[str, Any]:
    contribution = element.get("contribution")
    text = "–" if absent(contribution) else f"{contribution:+.2f}"
    says = f"{element['slot']}: {text} log-odds"
    return {
        "slot": element["slot"],
        "text": element.get("text") or element["element_id"],
        "element_id": element["element_id"],
        "other": (element["slot"], element["element_id"]) not in common,
        "bar": svg.two_sided_bar(None if absent(contribution) else contribution, reach, says),
        "contribution": text,
    }
