"""MVT (Hill et al. 2017): Thompson sampling with pairs of elements and elements in context."""

from dataclasses import dataclass

import numpy as np

from examples.loop.belief import Belief, added, chance, summed
from examples.loop.features import PAIR, Counts, Facts, counted
from examples.loop.linear import DRAWS, ElementThompson
from examples.loop.world import ONE_HOT, Shown, World

VALUES = ONE_HOT.shape[1]


@dataclass(frozen=True, eq=False)
class Terms:
    """Columns of one product's pairs and crossed terms: pair (E, E), -1 in one slot; size."""

    pair: np.ndarray
    pairs: int
    elements: int
    first: np.ndarray

    @staticmethod
    def of(facts: Facts) -> "Terms":
        slot = np.searchsorted(facts.first, np.arange(facts.elements), side="right")
        apart = slot[:, None] < slot[None]
        pair = np.where(apart, np.cumsum(apart).reshape(apart.shape) - 1, -1)
        return Terms(pair, int(apart.sum()), facts.elements, facts.first)

    @property
    def size(self) -> int:
        return self.pairs + self.elements * VALUES

    def paired(self, choice: np.ndarray) -> np.ndarray:
        """(n, S (S - 1) / 2) columns of the pairs in combinations (n, S)."""
        at = self.first + choice
        first, second = np.triu_indices(at.shape[1], 1)
        return self.pair[at[:, first], at[:, second]]

    def lines(self, choice: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """(n, J) columns that displays (n, S) in cells (n,) add up."""
        values = np.stack([np.flatnonzero(row) for row in ONE_HOT])[cell]
        crossed = self.pairs + (self.first + choice)[:, :, None] * VALUES + values[:, None]
        return np.concatenate([self.paired(choice), crossed.reshape(len(choice), -1)], axis=1)


class MVT(ElementThompson):
    """The logistic model of `ElementThompson` and, for each product, pairs and crossed terms.

    Hill et al. (2017), "An efficient bandit algorithm for realtime multivariate optimization".
    A product's pairs and crossed terms are a belief of their own, updated beside the shared one;
    the shared one makes this stronger than the paper's, which learns each page alone.
    """

    name = "MVT, pairs"

    def __init__(self, world: World, deviation: float = PAIR):
        super().__init__(world)
        self.terms = [Terms.of(facts) for facts in self.design.facts]
        self.extra = [Belief.prior(np.full(terms.size, deviation)) for terms in self.terms]

    def learn(self, shown: Shown) -> None:
        """Adds the day: the shared weights first, then each product's own."""
        super().learn(shown)
        for day in counted(self.world, shown):
            self.extra[day.product] = self.extra[day.product].after(
                lambda mean, day=day: self._own_curve(mean, day), 1
            )

    def _beside(self, day: Counts) -> np.ndarray:
        lines = self.terms[day.product].lines(day.choice, day.cell)
        return self.extra[day.product].mean[lines].sum(1)

    def _own_curve(self, mean: np.ndarray, day: Counts) -> tuple[np.ndarray, np.ndarray]:
        facts, terms = self.design.facts[day.product], self.terms[day.product]
        shared = (facts.part @ self.shared.mean[facts.column])[facts.lines(day.choice, day.cell)]
        lines = terms.lines(day.choice, day.cell)
        expected = chance(shared.sum(1) + mean[lines].sum(1))
        sharp = summed(lines, day.displays * expected * (1 - expected), terms.size)
        return added(lines, day.clicks - day.displays * expected, terms.size), sharp

    def _best(self, product: int, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(cell, DRAWS) place of the highest drawn reward."""
        facts, terms = self.design.facts[product], self.terms[product]
        legal = self.world.legal[product]
        extra, at = self.extra[product].drawn(DRAWS, rng), facts.first + legal
        own = weights[:, facts.column] @ facts.part[: facts.elements].T
        paired = terms.paired(legal)
        crossed = extra[:, terms.pairs :].reshape(DRAWS, facts.elements, VALUES) @ ONE_HOT.T
        best = np.empty((len(ONE_HOT), DRAWS), np.int64)
        for draw in range(DRAWS):
            pair = extra[draw][paired].sum(1)
            element = own[draw][:, None] + crossed[draw]
            best[:, draw] = (element[at].sum(1) + pair[:, None]).argmax(0)
        return best
