"""`genco explain`: what each element of a product earns, and how sure the reward model is."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import WrongUse
from model.attribution import attribution_table
from model.elements import Elements
from model.reward.reward import Reward
from pipelines.scoring import open_bundle

NAMED = 3  # products that a refusal names
MOST_TEXT = 50


def explain(bundle: Path, product: str) -> dict[str, Any]:
    """The product's candidates by slot, best first (columns: model/attribution.py), and what its
    average combination earns."""
    opened = open_bundle(bundle)
    rows = np.flatnonzero(opened.elements.product_id == product)
    if not len(rows):
        known = np.unique(opened.elements.product_id.astype(str))
        raise WrongUse(
            f"product {product!r} has no elements in {bundle}; expected one of its {len(known):,}, "
            f"such as {', '.join(known[:NAMED])}"
        )
    return explained(opened.reward, opened.elements.take(rows))


def explained(reward: Reward, elements: Elements) -> dict[str, Any]:
    """The same of the elements of one product.

    event: what is counted, click or conversion; usual_per_1000: such events of 1,000 displays of
    the product's average combination; differs: whether an element's interval excludes 0, null
    where there is none.
    """
    rows = attribution_table(reward, elements).to_pylist()
    usual = 1000 * float(reward.earnings(elements).usual[0])
    return {
        "product_id": str(elements.product_id[0]),
        "event": reward.event,
        "usual_per_1000": usual,
        "elements": [{**row, "differs": _differs(row)} for row in rows],
    }


def _differs(row: dict[str, Any]) -> bool | None:
    low, high = row["per_1000_low"], row["per_1000_high"]
    return None if low is None else bool(low > 0 or high < 0)


def explained_words(told: dict[str, Any]) -> str:
    """The same for a terminal: a list for each slot."""
    rows = told["elements"]
    lines = [
        f"{told['product_id']}: {told['usual_per_1000']:.1f} {told['event']}s of 1,000 displays with "
        "average elements.",
        f"What each element adds to that, against the average of its slot; {_sure(rows)}",
    ]
    wide = max(len(row["element_id"]) for row in rows)
    for slot, each in groupby(rows, key=lambda row: row["slot"]):
        lines += ["", slot, *(_line(row, wide) for row in each)]
    return "\n".join(lines)


def _sure(rows: list[dict[str, Any]]) -> str:
    """How to read the intervals, and how many elements they tell apart."""
    if rows[0]["differs"] is None:
        return "no intervals: the model has one member."
    apart = sum(row["differs"] for row in rows)
    counted = f"{apart} of {len(rows)}" if apart else f"none of {len(rows)}"
    return f"95 % interval; * where it excludes 0 ({counted})."


def _line(row: dict[str, Any], wide: int) -> str:
    mark = "*" if row["differs"] else " "
    text = row["text"] if len(row["text"]) <= MOST_TEXT else row["text"][: MOST_TEXT - 3] + "..."
    parts = f"{mark} {row['per_1000']:+8.2f}{_between(row)}  {row['element_id']:<{wide}}  {text}"
    return parts.rstrip()


def _between(row: dict[str, Any]) -> str:
    if row["differs"] is None:
        return ""
    return f"  {row['per_1000_low']:+8.2f} to {row['per_1000_high']:+8.2f}"
