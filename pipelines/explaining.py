"""`genco explain`: what each element of a product earns, and how sure the reward model is."""

from pathlib import Path
from typing import Any

import numpy as np

from components.errors import WrongUse
from model.attribution import attribution_table
from pipelines.scoring import open_bundle


def explain(bundle: Path, product: str) -> list[dict[str, Any]]:
    """The product's candidates, best first by slot (columns: model/attribution.py)."""
    opened = open_bundle(bundle)
    rows = np.flatnonzero(opened.elements.product_id == product)
    if not len(rows):
        raise WrongUse(f"product {product!r} has no elements in {bundle}; give one that it knows")
    return attribution_table(opened.reward, opened.elements.take(rows)).to_pylist()


def explained_words(rows: list[dict[str, Any]]) -> str:
    """The same for a terminal."""
    head = f"{'slot':<12} {'element':<24} {'log-odds':>9}  clicks per 1,000 displays, 95 % interval"
    lines = [
        f"{r['slot']:<12} {r['element_id']:<24} {r['contribution']:>+9.3f}  {r['per_1000']:+7.2f} "
        f"{_between(r)}  {r['text'][:50]}"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _between(row: dict[str, Any]) -> str:
    if row["per_1000_low"] is None:
        return "(one member: no interval)"
    return f"({row['per_1000_low']:+.2f} to {row['per_1000_high']:+.2f})"
