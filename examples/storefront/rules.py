"""What may be shown: forbidden pairs, allow-lists, and every legal combination of a product."""

from dataclasses import dataclass
from itertools import product as cartesian

import numpy as np

from examples.storefront.truth import SLOTS, Truth

LISTED = 12  # combinations that a product with an allow-list has


@dataclass(frozen=True, eq=False)
class ShopRules:
    """forbidden: (product or None, slot, element, slot, element); listed: product index -> (L, S);
    legal: for each product the legal combinations (L, S) of candidate indices."""

    forbidden: tuple[tuple[str | None, str, str, str, str], ...]
    listed: dict[int, np.ndarray]
    legal: tuple[np.ndarray, ...]


def make_rules(truth: Truth, seed: int) -> ShopRules:
    """One pair forbidden everywhere, one a product at a fifth of them, two allow-lists."""
    rng = np.random.default_rng([seed, 2])
    forbidden: list[tuple[str | None, str, str, str, str]] = [
        (None, "highlight", "highlight-ships-in-24-h", "tag", "tag-pre-order")
    ]
    for p in rng.choice(len(truth.products), size=max(1, len(truth.products) // 5), replace=False):
        title, image = truth.ids[p][0][0], truth.ids[p][1][0]
        forbidden.append((truth.products[p], "title", title, "image", image))
    legal = [_legal(truth, p, tuple(forbidden)) for p in range(len(truth.products))]
    listed = {}
    for p in rng.choice(len(truth.products), size=min(2, len(truth.products)), replace=False):
        chosen = np.sort(rng.choice(len(legal[p]), size=min(LISTED, len(legal[p])), replace=False))
        listed[int(p)] = legal[p] = legal[p][chosen]
    return ShopRules(tuple(forbidden), listed, tuple(legal))


def _legal(
    truth: Truth, p: int, forbidden: tuple[tuple[str | None, str, str, str, str], ...]
) -> np.ndarray:
    sizes = truth.present[p].sum(1)
    every = np.array(list(cartesian(*(range(int(size)) for size in sizes))), np.int64)
    kept = np.ones(len(every), bool)
    for owner, slot_a, element_a, slot_b, element_b in forbidden:
        if owner not in (None, truth.products[p]):
            continue
        a, b = SLOTS.index(slot_a), SLOTS.index(slot_b)
        if element_a in truth.ids[p][a] and element_b in truth.ids[p][b]:
            first, second = truth.ids[p][a].index(element_a), truth.ids[p][b].index(element_b)
            kept &= ~((every[:, a] == first) & (every[:, b] == second))
    return every[kept]
