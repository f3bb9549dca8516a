"""What a conversion is worth: its product's mean, and by how much elements and context move it.

The network's third head is the log of a ratio: of what a conversion of a row was worth to what one
of its product is worth on average. It is learned by a gamma quasi-likelihood, whose mean is right
whatever the values' distribution, and which takes sums of several conversions as well as single
ones (McCullagh and Nelder 1989, "Generalized linear models", chapter 8). A few huge baskets do not
rule it: a ratio counts at most as far from the median as `FARTHEST` robust deviations of its log.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags
from model.codes import coded

PRIOR = 10.0  # conversions of mean value that a product is credited with
FARTHEST = 3.5
LEAST_CAP = 3.0  # times a product's mean; so much is never called huge
FEW = 64  # products that are looked up one by one
NORMAL = 1.4826  # median absolute deviations of a normal's deviation


@dataclass(frozen=True, eq=False)
class Baskets:
    """Of n rows: ratio (n,) of a conversion's worth to its product's mean, held under the cap, and
    evidence (n,): conversions over how much ratios vary, 0 where the row has none."""

    ratio: np.ndarray
    evidence: np.ndarray


def product_values(train: Bags) -> dict[str, float]:
    """Mean value of a conversion by product, shrunk to the mean of all ("" is anybody's).

    Huge baskets are held in telling products apart, and counted in full in the level of all.
    """
    conversions, total = train.conversions.sum(), float(train.value.sum())
    if conversions == 0:
        return {}
    names, codes = coded(train.product_id)
    count = np.bincount(codes, train.conversions)
    held = _held(train, codes)
    usual = float(held.sum() / conversions)
    shrunk = (np.bincount(codes, held) + PRIOR * usual) / (count + PRIOR)
    level = total / float(held.sum()) if held.sum() > 0 else 1.0
    told = {"": usual, **dict(zip(names.tolist(), shrunk.tolist(), strict=True))}
    return {name: level * value for name, value in told.items()}


def _held(bags: Bags, product: np.ndarray) -> np.ndarray:
    """(n,) value, at most the cap times the median of the product's (n,) conversions."""
    known = np.flatnonzero((bags.conversions > 0) & (bags.value > 0))
    each = np.divide(
        bags.value, bags.conversions, out=np.zeros(len(bags)), where=bags.conversions > 0
    )
    order = known[np.lexsort((each[known], product[known]))]
    size = np.bincount(product[known], minlength=product.max() + 1)
    first = np.cumsum(size) - size
    middle = np.full(len(size), np.inf)
    middle[size > 0] = each[order[(first + size // 2)[size > 0]]]
    ratio = each[known] / middle[product[known]]
    held = bags.value.copy()
    held[known] *= np.minimum(ratio, _cap(ratio)) / ratio
    return held


def worth(values: Mapping[str, float], product_id: np.ndarray) -> np.ndarray:
    """(n,) mean value of a conversion of each product."""
    usual = values.get("", 0.0)
    if len(product_id) <= FEW:
        return np.array([values.get(str(name), usual) for name in product_id], np.float64)
    names, codes = coded(product_id)
    return np.array([values.get(str(name), usual) for name in names], np.float64)[codes]


def baskets(bags: Bags, values: Mapping[str, float]) -> Baskets:
    """What the bags' conversions say of the ratio to `values`."""
    bought = np.where(bags.value >= 0, bags.conversions, 0.0)
    expected = bought * worth(values, bags.product_id)
    ratio = np.divide(bags.value, expected, out=np.ones(len(bags)), where=expected > 0)
    known = (bought > 0) & (expected > 0)
    if not known.any():
        return Baskets(ratio, np.zeros(len(bags)))
    held = np.minimum(ratio, _cap(ratio[known]))
    mean = np.average(held[known], weights=bought[known])
    apart = bought[known] * (held[known] / max(mean, 1e-9) - 1) ** 2
    varies = max(float(apart.sum() / max(known.sum() - 1, 1)), 0.01)
    return Baskets(held, np.where(known, bought / varies, 0.0))


def _cap(ratio: np.ndarray) -> float:
    positive = np.log(ratio[ratio > 0])
    if not len(positive):
        return LEAST_CAP
    middle = float(np.median(positive))
    wide = NORMAL * float(np.median(np.abs(positive - middle)))
    return max(float(np.exp(middle + FARTHEST * wide)), LEAST_CAP)


def value_loss(log_ratio: Tensor, ratio: Tensor, evidence: Tensor, weight: Tensor) -> Tensor:
    """(M,) minus gamma quasi-likelihood of ratios (n,) at predicted logs (n, M), weights (n, M)."""
    return value_losses(log_ratio, ratio, evidence, weight).sum(0)


def value_losses(log_ratio: Tensor, ratio: Tensor, evidence: Tensor, weight: Tensor) -> Tensor:
    """(n, M) the same row by row."""
    loss = ratio[:, None] * torch.exp(-log_ratio) + log_ratio
    return weight * evidence[:, None] * loss


def levelled(values: Mapping[str, float], bags: Bags, log_ratio: np.ndarray) -> dict[str, float]:
    """The values times one factor, such that predictions (n,) add up to what the bags earned."""
    told = float((bags.conversions * worth(values, bags.product_id) * np.exp(log_ratio)).sum())
    factor = float(bags.value.sum()) / told if told > 0 else 1.0
    return {name: factor * value for name, value in values.items()}
