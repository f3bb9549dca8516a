"""`genco explain`: what each element of a product earns, and how sure the reward model is."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.errors import WrongUse
from model.bags import Bags, read_bags
from model.bundle import Bundle
from model.reward.interval import reach
from pipelines.scoring import open_bundle

COMPANY = 32  # combinations of the other slots that an element is seen with


def explain(bundle: Path, product: str) -> list[dict[str, Any]]:
    """The product's candidates, best first by slot.

    contribution, low, high: log-odds with a 95 % interval, half of every interaction included,
    averaged over what the other slots may show. per_1000 with its own interval: clicks of 1,000
    displays more than with an average element of its slot. Context is left open.
    """
    opened = open_bundle(bundle)
    own = opened.elements.rows_of(product)
    if not any(len(rows) for rows in own):
        raise WrongUse(f"product {product!r} has no elements in {bundle}; give one that it knows")
    places = [(slot, int(row)) for slot, rows in enumerate(own) for row in rows]
    bags = _asked(opened, product, _seen(own, places))
    terms = opened.reward.attribution(bags, opened.elements)
    usual = float(opened.reward.predict(bags, opened.elements).click.mean())
    slots = np.repeat([slot for slot, _ in places], COMPANY)
    at = np.arange(len(slots)), slots
    mean, spread = (part[at].reshape(-1, COMPANY).mean(1) for part in (terms.element, terms.spread))
    half = reach(opened.reward.members) * spread
    found = []
    for number, (slot, row) in enumerate(places):
        level = mean[[s == slot for s, _ in places]].mean()
        bounds = [float(mean[number] + side * half[number]) for side in (0.0, -1.0, 1.0)]
        earned = [_per_1000(usual, odds - level) for odds in bounds]
        found.append(
            {
                "slot": opened.slots[slot],
                "element_id": str(opened.elements.element_id[row]),
                **dict(zip(("contribution", "low", "high"), bounds, strict=True)),
                **dict(zip(("per_1000", "per_1000_low", "per_1000_high"), earned, strict=True)),
                "text": str(opened.elements.text[row]),
            }
        )
    return sorted(found, key=lambda r: (opened.slots.index(r["slot"]), -r["contribution"]))


def explained_words(rows: list[dict[str, Any]]) -> str:
    """The same for a terminal."""
    head = f"{'slot':<12} {'element':<24} {'log-odds':>9}  clicks per 1,000 displays, 95 % interval"
    lines = [
        f"{r['slot']:<12} {r['element_id']:<24} {r['contribution']:>+9.3f}  {r['per_1000']:+7.2f} "
        f"({r['per_1000_low']:+.2f} to {r['per_1000_high']:+.2f})  {r['text'][:50]}"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _per_1000(usual: float, odds: float) -> float:
    start = np.log(usual / (1 - usual))
    return float(1000 * (1 / (1 + np.exp(-(start + odds))) - usual))


def _seen(own: list[np.ndarray], places: list[tuple[int, int]]) -> np.ndarray:
    """(len(places) x COMPANY, S) rows: each element with the same draws of the other slots."""
    rng = np.random.default_rng(0)
    none = np.full(COMPANY, -1, np.int32)
    drawn = np.stack([rng.choice(rows, COMPANY) if len(rows) else none for rows in own], axis=1)
    shown = np.tile(drawn, (len(places), 1))
    for number, (slot, row) in enumerate(places):
        shown[number * COMPANY : (number + 1) * COMPANY, slot] = row
    return shown.astype(np.int32)


def _asked(opened: Bundle, product: str, shown: np.ndarray) -> Bags:
    """Bags of these elements in a context of which nothing is known."""
    names = opened.slots
    rows = [
        {
            "product_id": product,
            "context": dict.fromkeys(opened.context),
            "creative": [
                {"slot": names[s], "element": str(opened.elements.element_id[r])}
                for s, r in enumerate(row)
                if r >= 0
            ],
        }
        for row in shown
    ]
    types = {"number": pa.float64()}
    fields = [(name, types.get(kind, pa.string())) for name, kind in opened.context.items()]
    creative = pa.list_(pa.struct([("slot", pa.string()), ("element", pa.string())]))
    schema = pa.schema(
        [("product_id", pa.string()), ("context", pa.struct(fields)), ("creative", creative)]
    )
    return read_bags(pa.Table.from_pylist(rows, schema), opened.elements, opened.context)
