"""Smooth functions of a given embedding: what is close in meaning earns alike.

A linear term can only say that a direction of the embedding is good. A Gaussian process says that
texts near to liked texts are liked; its features on L landmark elements (Nystroem) let the same
additive network learn it. Source: Williams and Seeger (2001), "Using the Nystroem method to speed
up kernel machines".
"""

from dataclasses import dataclass

import numpy as np

NUMBERS = 300_000_000  # features held at once: elements x landmarks
STEEPNESS = 1.8  # kernel of two elements at the median squared distance: exp(-STEEPNESS)
SAMPLED = 2000  # elements that the median distance is taken over
LEAST = 1e-6  # share of the largest eigenvalue below which a direction is noise
ROWS = 8192


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Of one slot: points (L, d), whitening (L, k), mean (k,) of the training features, and the
    steepness of the kernel a squared distance."""

    points: np.ndarray
    whitening: np.ndarray
    mean: np.ndarray
    steep: float

    @property
    def width(self) -> int:
        return self.whitening.shape[1]

    def features(self, given: np.ndarray) -> np.ndarray:
        """(m, k) float32 of embeddings (m, d); their inner products are the kernel, centred."""
        parts = [
            self._kernel(given[start : start + ROWS]) @ self.whitening - self.mean
            for start in range(0, len(given), ROWS)
        ]
        return np.concatenate([np.zeros((0, self.width)), *parts]).astype(np.float32)

    def _kernel(self, given: np.ndarray) -> np.ndarray:
        return np.exp(-self.steep * squared_distances(given, self.points))

    def tensors(self) -> dict[str, np.ndarray]:
        """Arrays from which `of` makes the same landmarks."""
        steep = np.array([self.steep])
        return {
            "points": self.points,
            "whitening": self.whitening,
            "mean": self.mean,
            "steep": steep,
        }

    @staticmethod
    def of(kept: dict[str, np.ndarray]) -> "Landmarks":
        steep = float(kept["steep"][0])
        return Landmarks(kept["points"], kept["whitening"], kept["mean"], steep)


def squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(m, L) squared Euclidean distances of rows."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    far = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    return np.maximum(far, 0.0)


def fit_landmarks(given: np.ndarray, most: int) -> Landmarks | None:
    """Landmarks among the distinct training embeddings (m, d); None where they hardly differ."""
    distinct = np.unique(given, axis=0)
    most = min(most, NUMBERS // max(len(given), 1))
    if len(distinct) < 2 or most < 2:
        return None
    rng = np.random.default_rng(0)
    points = distinct[np.sort(rng.permutation(len(distinct))[:most])]
    sampled = distinct[rng.permutation(len(distinct))[:SAMPLED]]
    apart = squared_distances(sampled, sampled)[np.triu_indices(len(sampled), 1)]
    middle = float(np.median(apart))
    if not middle > 0:
        return None
    steep = STEEPNESS / middle
    values, vectors = np.linalg.eigh(np.exp(-steep * squared_distances(points, points)))
    kept = values > LEAST * values.max()
    whitening = vectors[:, kept] / np.sqrt(values[kept])
    raw = Landmarks(points, whitening, np.zeros(int(kept.sum())), steep)
    return Landmarks(points, whitening, raw.features(given).mean(0).astype(np.float64), steep)
