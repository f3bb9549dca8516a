"""Clicks gained over uniform choice, product by product, and intervals over products.

Where every combination of a product was drawn at random, what a way of choosing earns is read off:
the click rate of what it scores highest, ties averaged, at the product's displays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.bags import Bags

DRAWS = 2000
TIE = 1e-9  # scores closer than this are one


@dataclass(frozen=True, eq=False)
class Gained:
    """Clicks of t products by the best score, and by uniform choice (t,)."""

    chosen: np.ndarray
    even: np.ndarray

    @property
    def lift(self) -> float:
        """Clicks gained over uniform choice, as a share of its clicks."""
        return float(self.chosen.sum() / max(self.even.sum(), 1e-300) - 1)

    @staticmethod
    def joined(parts: Sequence["Gained"]) -> "Gained":
        """All products of the parts."""
        columns = ([p.chosen for p in parts], [p.even for p in parts])
        return Gained(*(np.concatenate([np.zeros(0), *column]) for column in columns))

    def drawn(self, seed: int = 0) -> np.ndarray:
        """(DRAWS,) lifts of products drawn again; one seed draws the same products for all ways."""
        size = len(self.even)
        rng = np.random.default_rng([seed, size])
        found = np.empty(DRAWS)
        for draw in range(DRAWS):
            rows = rng.integers(size, size=size)
            found[draw] = self.chosen[rows].sum() / max(self.even[rows].sum(), 1e-300) - 1
        return found


def gained(bags: Bags, score: np.ndarray) -> Gained:
    """What choosing by the score (n,) earns on these bags; needs whole products."""
    codes = np.unique(bags.product_id.astype(str), return_inverse=True)[1].reshape(-1)
    best = np.full(int(codes.max()) + 1, -np.inf)
    np.maximum.at(best, codes, score)
    chosen = (score >= best[codes] - TIE).astype(np.float64)
    chosen /= np.bincount(codes, chosen)[codes]
    rate = bags.clicks / np.maximum(bags.impressions, 1)
    shown = np.bincount(codes, bags.impressions)
    even = np.bincount(codes, rate) / np.bincount(codes)
    return Gained(np.bincount(codes, chosen * rate) * shown, even * shown)


def interval(draws: np.ndarray) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of bootstrap draws."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def paired(first: Gained, second: Gained) -> tuple[float, float, float]:
    """(difference of lifts, low, high) of the second less the first, over the same products."""
    low, high = interval(second.drawn() - first.drawn())
    return second.lift - first.lift, low, high
