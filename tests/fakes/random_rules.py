"""Random small shops with random rules, for laws that must hold whatever the rules are."""

from itertools import product as crossed

import numpy as np
from hypothesis import strategies as st
from tabular_reward import Shop, TabularReward, elements_of

from model.combinations import Forbidden, Rules
from model.elements import Elements

SLOTS = ("title", "image", "highlight", "tag")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Shop, Rules]:
    """A shop of 1 to 3 products with 0 to 4 candidates a slot, and its rules."""
    seed = draw(st.integers(0, 2**16))
    slots = SLOTS[: draw(st.integers(1, 4))]
    names = [f"p{n}" for n in range(draw(st.integers(1, 3)))]
    sizes = st.lists(st.integers(0, 4), min_size=len(slots), max_size=len(slots))
    counts = {name: draw(sizes.filter(any)) for name in names}
    shop = shop_with(elements_of(counts, slots, seed), seed)
    rng = np.random.default_rng(seed)
    allowed = {name: some_rows(name, shop.elements, rng) for name in names if draw(st.booleans())}
    forbidden = tuple(
        pair for _ in range(draw(st.integers(0, 8))) for pair in some_pair(shop.elements, rng)
    )
    optional = frozenset(slot for slot in slots if draw(st.booleans()))
    return shop, Rules(allowed, forbidden, optional)


def shop_with(elements: Elements, seed: int) -> Shop:
    rng = np.random.default_rng(seed)
    rows = len(elements)
    truth = TabularReward(
        base=-2.0,
        alone=rng.normal(0, 0.5, rows),
        device=rng.normal(0, 0.3, (rows, 3)),
        together=rng.normal(0, 0.3, (rows, 2)),
        doubt=np.full(rows, 0.02),
    )
    return Shop(elements, truth)


def some_rows(
    product: str, elements: Elements, rng: np.random.Generator
) -> tuple[dict[str, str], ...]:
    """Up to 6 rows of an allow-list, some with absent slots, some repeated."""
    return tuple(
        {
            slot: str(elements.element_id[rng.choice(rows)])
            for slot, rows in zip(elements.slots, elements.rows_of(product), strict=True)
            if len(rows) and rng.random() < 0.8
        }
        for _ in range(int(rng.integers(1, 7)))
    )


def some_pair(elements: Elements, rng: np.random.Generator) -> list[Forbidden]:
    """A forbidden pair of two candidates of one product, binding it or every product."""
    first = int(rng.integers(len(elements)))
    same = np.flatnonzero(elements.product_id == elements.product_id[first])
    second = int(rng.choice(same))
    product = None if rng.random() < 0.3 else str(elements.product_id[first])
    ends = [
        (elements.slots[elements.slot[r]], str(elements.element_id[r])) for r in (first, second)
    ]
    return [Forbidden(product, *ends[0], *ends[1])]


def legal_by_the_letter(product: str, elements: Elements, rules: Rules) -> set[tuple[int, ...]]:
    """Legal combinations as local indices, by trying every one against the rules' words."""
    candidates = elements.rows_of(product)
    named = [
        [(slot, str(elements.element_id[row])) for row in rows]
        for slot, rows in zip(elements.slots, candidates, strict=True)
    ]
    found = set()
    for row in crossed(*(range(-1, len(rows)) for rows in candidates)):
        shown = {named[slot][at] for slot, at in enumerate(row) if at >= 0}
        if shown and _allowed(product, shown, row, candidates, rules, elements.slots):
            found.add(row)
    return found


def _allowed(product, shown, row, candidates, rules, slots) -> bool:
    if product in rules.combinations:
        if not any(set(listed.items()) == shown for listed in rules.combinations[product]):
            return False
    elif any(
        at < 0 and len(rows) and slot not in rules.optional
        for slot, at, rows in zip(slots, row, candidates, strict=True)
    ):
        return False
    return not any(
        (pair.slot_a, pair.element_a) in shown and (pair.slot_b, pair.element_b) in shown
        for pair in rules.forbidden
        if pair.product_id in (None, product)
    )
