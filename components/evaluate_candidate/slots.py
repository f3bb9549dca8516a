"""Slot weights of the judged rows: what the log says of elements, where it shows few combinations.

The reference (model/evaluation/slots.py) of a product is uniform over its legal combinations and
leans toward what was shown of it before the judged rows, as far as that makes weights vary less.
"""

from dataclasses import dataclass

import numpy as np

from components.training_set import TrainingSet
from model.bags import Bags
from model.combinations import Rules, Space, space_of
from model.evaluation.slots import (
    Reference,
    independent_weights,
    leaning_reference,
    pseudo_inverse_weights,
    uniform_reference,
)

LISTED = 200_000  # legal combinations of a product that are listed at most
LEANS = (0.0, 0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class Known:
    """A product's reference with the space whose local indices its options are."""

    space: Space
    reference: Reference


@dataclass(frozen=True)
class SlotWeights:
    """(n,) weights by the pseudo-inverse and by independent slots; nan where not known."""

    pseudo_inverse: np.ndarray
    independent: np.ndarray


def local(element: np.ndarray, candidates: tuple[np.ndarray, ...]) -> np.ndarray:
    """Rows in elements as indices into the product's candidates of each slot, -1 absent."""
    found = np.full(element.shape, -1, np.int64)
    for slot, rows in enumerate(candidates):
        order = np.argsort(rows)
        place = np.searchsorted(rows[order], element[..., slot])
        place = np.minimum(place, max(len(rows) - 1, 0))
        if len(rows):
            hit = (element[..., slot] >= 0) & (rows[order[place]] == element[..., slot])
            found[..., slot] = np.where(hit, order[place], -1)
    return found


def references(judged: Bags, rows: TrainingSet, rules: Rules) -> dict[str, Known]:
    """Of every judged product whose legal combinations can be listed."""
    spaces = {
        product: space_of(product, rows.elements, rules)
        for product in np.unique(judged.product_id.astype(str))
    }
    uniform = {
        product: Known(
            space, uniform_reference(space.enumerate().astype(np.int64) + 1, _sizes(space))
        )
        for product, space in spaces.items()
        if space.count() <= LISTED
    }
    train = rows.train
    logged = train.take(np.flatnonzero(np.isfinite(train.propensity)))
    leaning = [_lean(uniform, logged, lean) for lean in LEANS]
    return min(leaning, key=lambda known: _second_moment(known, logged))


def _sizes(space: Space) -> tuple[int, ...]:
    return tuple(len(rows) + 1 for rows in space.candidates)


def _lean(uniform: dict[str, Known], logged: Bags, lean: float) -> dict[str, Known]:
    leaning = dict(uniform)
    for product, mine, shown in _by_product(uniform, logged):
        known = uniform[product]
        displays = logged.impressions[mine]
        reference = leaning_reference(known.reference, shown, displays, lean)
        leaning[product] = Known(known.space, reference)
    return leaning


def _second_moment(known: dict[str, Known], logged: Bags) -> float:
    """Sum over displays of (nu/mu)^2: the least is the reference nearest to the log."""
    found = 0.0
    for product, mine, shown in _by_product(known, logged):
        ratio = known[product].reference.chance_of(shown) / logged.propensity[mine]
        found += float((logged.impressions[mine] * ratio**2).sum())
    return found


def slot_weights(known: dict[str, Known], judged: Bags, drawn: np.ndarray) -> SlotWeights:
    """Of a policy that drew `drawn` (n, draws, S) rows in elements for the judged rows."""
    found = SlotWeights(*np.full((2, len(judged)), np.nan))
    for product, mine, shown in _by_product(known, judged):
        one = known[product]
        options = local(drawn[mine], one.space.candidates) + 1
        asked = (one.reference, shown, one.reference.shares(options), judged.propensity[mine])
        found.pseudo_inverse[mine] = pseudo_inverse_weights(*asked)
        found.independent[mine] = independent_weights(*asked)
    return found


def _by_product(known: dict[str, Known], bags: Bags) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(product, its rows, what they show as options) of the products that are known."""
    if not len(bags):
        return []
    names, at = np.unique(bags.product_id.astype(str), return_inverse=True)
    order = np.argsort(at, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(at, minlength=len(names)))[:-1])
    return [
        (name, mine, local(bags.element[mine], known[name].space.candidates) + 1)
        for name, mine in zip(names.tolist(), parts, strict=True)
        if name in known
    ]


def wanting(judged: Bags, weights: SlotWeights) -> str | None:
    """Why the slot estimators can't be had of all rows; None where they can."""
    displays, covered = judged.impressions, np.isfinite(weights.pseudo_inverse)
    missing = float(displays[~covered].sum())
    if not missing:
        return None
    unlogged = float(displays[~covered & np.isnan(judged.propensity)].sum())
    return (
        f"{missing:,.0f} of {displays.sum():,.0f} displays have no slot weight: {unlogged:,.0f} "
        f"without a propensity, the others of products with more than {LISTED:,} combinations"
    )
