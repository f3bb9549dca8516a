"""Does a predicted rate come true? Calibration error, ratio and slope from sums of bins."""

import numpy as np

BINS = 10
NEWTON_STEPS = 12


def bin_of(predicted: np.ndarray, displays: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(n,) bin of each row: the displays sorted by prediction, cut into parts of equal size.

    Rows that predict the same share a bin.
    """
    order = np.argsort(predicted, kind="stable")
    middle = np.cumsum(displays[order]) - displays[order] / 2
    place = np.minimum((middle / max(displays.sum(), 1e-300) * bins).astype(np.intp), bins - 1)
    level = np.unique(predicted[order], return_inverse=True)[1]
    first = np.flatnonzero(np.diff(level, prepend=-1))
    found = np.empty(len(order), dtype=np.intp)
    found[order] = place[first][level]
    return found


def calibration_error(clicks: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(...,) sum of |clicks - expected| over bins (..., bins), as a share of all clicks.

    The expected calibration error relative to the base rate, since an absolute one says little
    of rates of a percent. Source: Naeini, Cooper and Hauskrecht (2015).
    """
    whole = clicks.sum(-1)
    nothing = np.full(np.shape(whole), np.nan)
    return np.divide(np.abs(clicks - expected).sum(-1), whole, out=nothing, where=whole > 0)


def calibration_ratio(clicks: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(...,) clicks seen for each click predicted: 1 is right on the whole."""
    whole = expected.sum(-1)
    nothing = np.full(np.shape(whole), np.nan)
    return np.divide(clicks.sum(-1), whole, out=nothing, where=whole > 0)


def calibration_slope(clicks: np.ndarray, expected: np.ndarray, displays: np.ndarray) -> np.ndarray:
    """(...,) slope of the clicks' log-odds on the predicted log-odds, over bins (..., bins).

    1 is right, below 1 the predictions are too far apart, near 0 they say nothing; nan where all
    bins predict alike or there is nothing to fit. A logistic regression on the bins' mean
    predictions. Source: Cox (1958), "Two further applications of a model for binary regression".
    """
    rate = (expected + 1e-12) / np.maximum(displays, 1e-9)
    x = np.log(rate) - np.log1p(-np.minimum(rate, 1 - 1e-9))
    whole = np.maximum(displays.sum(-1, keepdims=True), 1e-300)
    centre = (x * displays).sum(-1, keepdims=True) / whole
    x = np.where(displays > 0, x - centre, 0.0)
    base = (clicks.sum(-1) + 0.5) / (displays.sum(-1) + 1.0)
    intercept, slope = np.log(base / (1 - base)), np.ones(base.shape)
    for _ in range(NEWTON_STEPS):
        intercept, slope = _newton(intercept, slope, x, clicks, displays)
    spread = np.sqrt((x**2 * displays).sum(-1) / whole[..., 0])
    fit = (spread > 1e-3) & (clicks.sum(-1) > 0) & (np.abs(slope) < 1e3)
    return np.where(fit, slope, np.nan)


def _newton(
    intercept: np.ndarray,
    slope: np.ndarray,
    x: np.ndarray,
    clicks: np.ndarray,
    displays: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    odds = np.clip(intercept[..., None] + slope[..., None] * x, -30, 30)
    p = 1 / (1 + np.exp(-odds))
    v, residual = displays * p * (1 - p), clicks - displays * p
    a, b, c = v.sum(-1) + 1e-9, (v * x).sum(-1), (v * x * x).sum(-1) + 1e-9
    g, h = residual.sum(-1), (residual * x).sum(-1)
    step = np.maximum(a * c - b * b, 1e-18)
    to_intercept = np.clip((c * g - b * h) / step, -2, 2)
    to_slope = np.clip((a * h - b * g) / step, -2, 2)
    return intercept + to_intercept, slope + to_slope
