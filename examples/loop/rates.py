"""Baselines that count: smoothed click rates of elements, and Thompson sampling of combinations."""

import numpy as np

from examples.loop.world import Requests, Shown, World

UNKNOWN = np.nan  # a baseline's propensity, where it is not worked out


class Uniform:
    """Every legal combination alike, whatever was learned."""

    name = "uniform"

    def __init__(self, world: World):
        self.world = world

    def learn(self, shown: Shown) -> None:
        """Nothing is learned."""

    def choose(self, requests: Requests, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(place (n,), propensity (n,))."""
        sizes = np.array([len(rows) for rows in self.world.legal])[requests.product]
        place = np.minimum((rng.random(len(sizes)) * sizes).astype(np.int64), sizes - 1)
        return place, 1 / sizes


class ElementRates:
    """The combination whose elements have the best smoothed click rates, else a uniform one.

    Rates are shrunk to the product's by `prior` displays; a share `explore` is uniform.
    """

    name = "element rates"

    def __init__(self, world: World, prior: float = 400.0, explore: float = 0.05):
        self.world, self.prior, self.explore = world, prior, explore
        self._even = Uniform(world)
        self._shown = np.zeros(world.row.shape)
        self._clicks = np.zeros(world.row.shape)

    def learn(self, shown: Shown) -> None:
        """Adds the day's displays and clicks to every element shown."""
        product = shown.requests.product
        for p in np.unique(product):
            rows = np.flatnonzero(product == p)
            chosen = self.world.legal[p][shown.place[rows]]
            for s in range(chosen.shape[1]):
                np.add.at(self._shown[p, s], chosen[:, s], 1.0)
                np.add.at(self._clicks[p, s], chosen[:, s], shown.clicked[rows])

    def choose(self, requests: Requests, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(place (n,), exact propensity (n,))."""
        best = np.array([self._best(p) for p in range(len(self.world.legal))])[requests.product]
        even, chance = self._even.choose(requests, rng)
        place = np.where(rng.random(len(best)) < self.explore, even, best)
        return place, self.explore * chance + (1 - self.explore) * (place == best)

    def _best(self, product: int) -> int:
        shown, clicks = self._shown[product], self._clicks[product]
        rate = (clicks[0].sum() + 0.5) / (shown[0].sum() + 20)
        score = np.log((clicks + self.prior * rate) / (shown + self.prior))
        legal = self.world.legal[product]
        return int(score[np.arange(legal.shape[1]), legal].sum(1).argmax())


class CombinationThompson:
    """Thompson sampling with a beta belief for each combination of a product, as if unrelated.

    Thompson (1933). The beliefs start at the shop's click rate, worth `prior` displays.
    """

    name = "Thompson, combinations"
    draws = 32  # of the beliefs a product a day, shared out among its requests

    def __init__(self, world: World, prior: float = 200.0):
        self.world, self.prior = world, prior
        self._shown = [np.zeros(len(rows)) for rows in world.legal]
        self._clicks = [np.zeros(len(rows)) for rows in world.legal]

    def learn(self, shown: Shown) -> None:
        """Adds the day's displays and clicks to the combinations shown."""
        for p in np.unique(shown.requests.product):
            rows = np.flatnonzero(shown.requests.product == p)
            np.add.at(self._shown[p], shown.place[rows], 1.0)
            np.add.at(self._clicks[p], shown.place[rows], shown.clicked[rows])

    def choose(self, requests: Requests, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(place (n,), unknown propensity (n,))."""
        rate = sum(c.sum() for c in self._clicks) / sum(s.sum() for s in self._shown)
        best = np.stack([self._drawn(p, rate, rng) for p in range(len(self._shown))])
        which = rng.integers(self.draws, size=len(requests.product))
        return best[requests.product, which], np.full(len(which), UNKNOWN)

    def _drawn(self, product: int, rate: float, rng: np.random.Generator) -> np.ndarray:
        clicks, shown = self._clicks[product], self._shown[product]
        hits = clicks + self.prior * rate
        misses = shown - clicks + self.prior * (1 - rate)
        return rng.beta(hits, misses, size=(self.draws, len(hits))).argmax(1)
