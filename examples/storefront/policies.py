"""Policies that show combinations in the shop, with their exact propensities."""

from typing import Protocol

import numpy as np

from examples.storefront.rules import ShopRules
from examples.storefront.truth import SLOTS, Truth

UNIFORM = 0.35


class Shows(Protocol):
    """Whatever chooses combinations: (n, S) candidate indices and their probabilities (n,)."""

    name: str

    def choose_many(
        self, product: np.ndarray, context: dict[str, np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]: ...


class TablePolicy:
    """A distribution over the legal combinations of each product, whatever the context."""

    def __init__(self, name: str, legal: tuple[np.ndarray, ...], probability: list[np.ndarray]):
        self.name = name
        self._legal = legal
        self.probability = probability

    def choose_many(
        self, product: np.ndarray, context: dict[str, np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        choice = np.zeros((len(product), len(SLOTS)), np.int64)
        propensity = np.zeros(len(product))
        drawn = rng.random(len(product))
        for p in np.unique(product):
            rows = np.flatnonzero(product == p)
            edges = np.cumsum(self.probability[p])
            place = np.searchsorted(edges / edges[-1], drawn[rows], side="right")
            place = np.minimum(place, len(edges) - 1)
            choice[rows] = self._legal[p][place]
            propensity[rows] = self.probability[p][place]
        return choice, propensity


def uniform_policy(rules: ShopRules) -> TablePolicy:
    """Every legal combination of a product alike."""
    return TablePolicy("uniform", rules.legal, [np.full(len(c), 1 / len(c)) for c in rules.legal])


def logging_policy(truth: Truth, rules: ShopRules, seed: int) -> TablePolicy:
    """Slot by slot by a noisy guess of what is popular, mixed with uniform choice."""
    rng = np.random.default_rng([seed, 3])
    guess = truth.element + 0.5 * rng.normal(size=truth.element.shape)
    probability = []
    for p, legal in enumerate(rules.legal):
        score = guess[p, np.arange(len(SLOTS))[None], legal].sum(1)
        soft = np.exp(score - score.max())
        mixed = (1 - UNIFORM) * soft / soft.sum() + UNIFORM / len(legal)
        probability.append(mixed / mixed.sum())
    return TablePolicy("log-1", rules.legal, probability)
