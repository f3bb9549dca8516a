"""How often a product is clicked at all, and which elements are which: shared by the rivals."""

import numpy as np

from benchmarks.reward.task import logit
from model.bags import Bags
from model.elements import Elements, pack

CREDIT = 20.0  # clicks at the overall rate that a product is credited with


class Levels:
    """Smoothed log-odds of a click by product; the overall ones for a product never seen."""

    def __init__(self, train: Bags) -> None:
        overall = (train.clicks.sum() + 0.5) / (train.impressions.sum() + 1)
        names, codes = np.unique(train.product_id.astype(str), return_inverse=True)
        shown, clicks = (np.bincount(codes, c) for c in (train.impressions, train.clicks))
        rate = (clicks + CREDIT) / (shown + CREDIT / overall)
        self._known = dict(zip(names.tolist(), logit(rate).tolist(), strict=True))
        self._usual = float(logit(np.array(overall)))

    def of(self, bags: Bags) -> np.ndarray:
        """(n,) log-odds of each row's product."""
        names, codes = np.unique(bags.product_id.astype(str), return_inverse=True)
        return np.array([self._known.get(n, self._usual) for n in names.tolist()])[codes]


def own_codes(elements: Elements) -> np.ndarray:
    """(m,) code of (product, slot, element): every row its own."""
    return np.arange(len(elements))


def shared_codes(elements: Elements) -> np.ndarray:
    """(m,) code of (slot, element id): the same at every product."""
    none = np.full(len(elements), "")
    keys = pack(none, elements.slot, elements.element_id)
    return np.unique(keys, return_inverse=True)[1].reshape(-1)


def counted(bags: Bags, code: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(codes,) sum of weight (n,) over the rows and slots that show each code."""
    total = np.zeros(int(code.max()) + 1 if len(code) else 0)
    for slot in range(bags.element.shape[1]):
        at = bags.element[:, slot]
        here = at >= 0
        total += np.bincount(code[at[here]], weight[here], len(total))
    return total
