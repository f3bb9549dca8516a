"""How far two distributions lie apart: effect sizes of counts over the same bins.

Counts have shape (..., bins); the leading axes are kept. A side without rows gives nan.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def shares(counts: Floats, smooth: float = 0.0) -> Floats:
    """Counts as shares of their sum, `smooth` added to every bin first."""
    raised = np.asarray(counts, dtype=np.float64) + smooth
    total = raised.sum(axis=-1, keepdims=True)
    return np.divide(raised, total, out=np.full_like(raised, np.nan), where=total > 0)


def psi(one: Floats, other: Floats) -> Floats:
    """Population stability index, sum of (p - q) ln(p / q), half a row added to each bin."""
    p, q = shares(one, 0.5), shares(other, 0.5)
    return ((p - q) * np.log(p / q)).sum(axis=-1)


def jensen_shannon(one: Floats, other: Floats) -> Floats:
    """Jensen-Shannon distance in 0..1: the root of the divergence in bits (Lin, 1991)."""
    p, q = shares(one), shares(other)
    middle = (p + q) / 2
    divergence = (_relative(p, middle) + _relative(q, middle)) / 2
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def _relative(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log2(ratio)).sum(axis=-1)


def wasserstein(one: Floats, other: Floats, values: Floats) -> Floats:
    """First Wasserstein distance in the units of `values`, the bins' rising values."""
    apart = np.abs(np.cumsum(shares(one) - shares(other), axis=-1))[..., :-1]
    return (apart * np.diff(values)).sum(axis=-1)
