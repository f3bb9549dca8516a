"""A Gaussian belief over the weights of a logistic or linear model, updated a day at a time.

Each day's posterior (Laplace's approximation) is the next day's prior, as in Chapelle and Li
(2011), "An empirical evaluation of Thompson sampling", with the whole covariance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# (weights) -> (gradient of the log likelihood, its negative second derivative)
Curve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Belief:
    """mean (d,), precision (d, d)."""

    mean: np.ndarray
    precision: np.ndarray

    @staticmethod
    def prior(deviation: np.ndarray) -> "Belief":
        return Belief(np.zeros(len(deviation)), np.diag(deviation**-2.0))

    def after(self, curve: Curve, steps: int) -> "Belief":
        """The belief after a day's displays, by `steps` of Newton's method."""
        mean, sharper = self.mean, self.precision
        for _ in range(steps):
            gradient, sharpness = curve(mean)
            sharper = self.precision + sharpness
            pull = gradient - self.precision @ (mean - self.mean)
            mean = mean + np.linalg.solve(sharper, pull)
        return Belief(mean, sharper)

    def drawn(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, d) weights from the belief."""
        root = np.linalg.cholesky(self.precision)
        noise = rng.normal(size=(len(self.mean), count))
        return self.mean + np.linalg.solve(root.T, noise).T


def summed(lines: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    """(size, size) sum over displays of weight (n,) at every pair of their lines (n, J)."""
    pairs = lines[:, :, None] * size + lines[:, None, :]
    wide = np.broadcast_to(weight[:, None, None], pairs.shape)
    return np.bincount(pairs.ravel(), wide.ravel(), size * size).reshape(size, size)


def added(lines: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    """(size,) sum over displays of weight (n,) at each of their lines (n, J)."""
    wide = np.broadcast_to(weight[:, None], lines.shape)
    return np.bincount(lines.ravel(), wide.ravel(), size)


def chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))
