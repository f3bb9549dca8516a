"""Linear bandits over elements: LinUCB, Thompson sampling, and MVT with pairs.

They search the legal list exactly, where the papers climb hills.
"""

import numpy as np

from examples.loop.belief import Belief, added, chance, summed
from examples.loop.features import Counts, Design, counted
from examples.loop.rates import UNKNOWN
from examples.loop.world import CELLS, Requests, Shown, World

DRAWS = 16  # of the weights a product a day, shared out among its requests


class LinUCB:
    """The highest mean plus `alpha` deviations of a linear click rate (Li et al. 2010)."""

    name = "LinUCB, elements"

    def __init__(self, world: World, alpha: float = 0.5):
        self.world, self.alpha, self.design = world, alpha, Design.of(world)
        self.belief: Belief | None = None

    def learn(self, shown: Shown) -> None:
        """Adds the day by least squares; the noise is that of a click at the first day's rate."""
        if self.belief is None:
            self.rate = float(shown.clicked.mean())
            self.noise = self.rate * (1 - self.rate)
            self.belief = Belief.prior(self.design.deviation * self.rate)
        days = counted(self.world, shown)
        self.belief = self.belief.after(lambda mean: self._curve(mean, days), 1)

    def _curve(self, mean: np.ndarray, days: list[Counts]) -> tuple[np.ndarray, np.ndarray]:
        pull, sharp = np.zeros_like(mean), np.zeros((len(mean), len(mean)))
        for day in days:
            facts = self.design.facts[day.product]
            lines, size = facts.lines(day.choice, day.cell), len(facts.part)
            expected = self.rate + (facts.part @ mean[facts.column])[lines].sum(1)
            off = added(lines, (day.clicks - day.displays * expected) / self.noise, size)
            weight = summed(lines, day.displays / self.noise, size)
            pull[facts.column] += facts.part.T @ off
            sharp[np.ix_(facts.column, facts.column)] += facts.part.T @ weight @ facts.part
        return pull, sharp

    def choose(self, requests: Requests, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(place (n,), propensity (n,) 1: nothing is drawn)."""
        assert self.belief is not None, "the first day's logs come before the first choice"
        cover = np.linalg.inv(self.belief.precision)
        best = np.stack([self._best(p, cover) for p in range(len(self.world.legal))])
        return best[requests.product, requests.cell], np.ones(len(requests.product))

    def _best(self, product: int, cover: np.ndarray) -> np.ndarray:
        """(cell,) place of the highest bound."""
        facts, legal = self.design.facts[product], self.world.legal[product]
        own = facts.part @ self.belief.mean[facts.column]  # type: ignore[union-attr]
        spread = facts.part @ cover[np.ix_(facts.column, facts.column)] @ facts.part.T
        at = facts.first + legal
        mean = own[at].sum(1)
        inner = sum(
            spread[at[:, s], at[:, t]] for s in range(at.shape[1]) for t in range(at.shape[1])
        )
        crossed = 2 * sum(spread[facts.elements :, at[:, s]] for s in range(at.shape[1]))
        alone = np.diag(spread)[facts.elements :, None]
        return (mean + self.alpha * np.sqrt(inner + crossed + alone)).argmax(1)


class ElementThompson:
    """Thompson sampling of a logistic model of elements and context (Chapelle and Li 2011)."""

    name = "Thompson, elements"

    def __init__(self, world: World):
        self.world, self.design = world, Design.of(world)
        self.shared = Belief.prior(self.design.deviation)
        self._centred = False

    def learn(self, shown: Shown) -> None:
        """Adds the day."""
        if not self._centred:
            rate, products = float(shown.clicked.mean()), len(self.world.legal)
            self.shared.mean[:products] = np.log(rate / (1 - rate))
            self._centred = True
        days = counted(self.world, shown)
        self.shared = self.shared.after(lambda mean: self._curve(mean, days), 2)

    def _curve(self, mean: np.ndarray, days: list[Counts]) -> tuple[np.ndarray, np.ndarray]:
        pull, sharp = np.zeros_like(mean), np.zeros((len(mean), len(mean)))
        for day in days:
            facts = self.design.facts[day.product]
            lines, size = facts.lines(day.choice, day.cell), len(facts.part)
            odds = (facts.part @ mean[facts.column])[lines].sum(1) + self._beside(day)
            expected = chance(odds)
            off = added(lines, day.clicks - day.displays * expected, size)
            weight = summed(lines, day.displays * expected * (1 - expected), size)
            pull[facts.column] += facts.part.T @ off
            sharp[np.ix_(facts.column, facts.column)] += facts.part.T @ weight @ facts.part
        return pull, sharp

    def _beside(self, day: Counts) -> np.ndarray | float:
        """Log-odds (n,) that other terms add."""
        return 0.0

    def choose(self, requests: Requests, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(place (n,), unknown propensity (n,))."""
        weights = self.shared.drawn(DRAWS, rng)
        best = np.stack([self._best(p, weights, rng) for p in range(len(self.world.legal))])
        which = rng.integers(DRAWS, size=len(requests.product))
        return best[requests.product, requests.cell, which], np.full(len(which), UNKNOWN)

    def _best(self, product: int, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(cell, DRAWS) place of the highest drawn reward."""
        facts = self.design.facts[product]
        own = weights[:, facts.column] @ facts.part.T
        at = facts.first + self.world.legal[product]
        best = own[:, at].sum(2).argmax(1)
        return np.broadcast_to(best, (len(CELLS), DRAWS))
