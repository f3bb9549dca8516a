"""Platt scaling on counts: log-odds -> slope * log-odds + shift, on rows held out for it."""

from dataclasses import dataclass

import numpy as np

PRIOR_SLOPE = 0.2  # standard deviation around 1
PRIOR_SHIFT = 1.0
STEPS = 50
FEWEST = 1e-9  # an update below which Newton's method has arrived


@dataclass(frozen=True)
class Calibration:
    """calibrated = slope * z + shift; slope 1 and shift 0 change nothing."""

    slope: float = 1.0
    shift: float = 0.0


def fit_calibration(
    logits: np.ndarray, events: np.ndarray, trials: np.ndarray, dispersion: float
) -> Calibration:
    """The most likely scaling under a prior at (1, 0), by Newton's method.

    Centred at the mean log-odds, so that few events move the level before the slope.
    Source: Platt (1999), "Probabilistic outputs for support vector machines".
    """
    if trials.sum() == 0 or events.sum() == 0:
        return Calibration()
    centre = float(np.average(logits, weights=trials))
    x = logits - centre
    weights = np.array([1.0, 0.0])
    precision = np.array([1 / PRIOR_SLOPE**2, 1 / PRIOR_SHIFT**2])
    design = np.stack([x, np.ones_like(x)], axis=1)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(design @ weights + centre)))
        gradient = design.T @ (trials * p - events) / dispersion
        gradient += precision * (weights - [1.0, 0.0])
        curvature = (design * (trials * p * (1 - p))[:, None]).T @ design / dispersion
        step = np.linalg.solve(curvature + np.diag(precision), gradient)
        weights = weights - step
        if np.abs(step).max() < FEWEST:
            break
    slope = float(np.clip(weights[0], 0.2, 3.0))
    return Calibration(slope, float(weights[1] + centre - slope * centre))


def level_shift(
    logits: np.ndarray, events: np.ndarray, trials: np.ndarray, slope: float
) -> Calibration:
    """The shift at which, with this slope, as many events are expected as were counted.

    The slope asks for rows that were not learned from; the level does not, and takes them all.
    """
    if trials.sum() == 0 or events.sum() == 0:
        return Calibration(slope)
    rate = (events.sum() + 0.5) / (trials.sum() + 1)
    shift = float(np.log(rate / (1 - rate)) - slope * np.average(logits, weights=trials))
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(slope * logits + shift)))
        step = (float(trials @ p) - events.sum()) / max(float(trials @ (p * (1 - p))), FEWEST)
        shift -= float(np.clip(step, -1, 1))
        if abs(step) < FEWEST:
            break
    return Calibration(slope, shift)
