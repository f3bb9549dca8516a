"""Platt scaling on counts: log-odds -> slope * log-odds + shift, on rows held out for it.

The mode of a posterior is close to calibrated as it is: its slope lies a few per cent around 1,
where that of a few hundred held-out events is off by ten. So the slope is heard only as far as it
differs from 1 by more than its standard error (docs/adr/0032).
"""

from dataclasses import dataclass

import numpy as np

PRIOR_SLOPE = 0.2  # standard deviation around 1
PRIOR_SHIFT = 1.0
_PRECISION = 1 / np.array([PRIOR_SLOPE, PRIOR_SHIFT]) ** 2
STEPS = 50
FEWEST = 1e-9  # an update below which Newton's method has arrived


@dataclass(frozen=True)
class Calibration:
    """calibrated = slope * z + shift; slope 1 and shift 0 change nothing."""

    slope: float = 1.0
    shift: float = 0.0


def fit_calibration(
    logits: np.ndarray,
    events: np.ndarray,
    trials: np.ndarray,
    dispersion: float,
    group: np.ndarray,
) -> Calibration:
    """The most likely scaling under a prior at (1, 0), by Newton's method, its slope one standard
    error nearer to 1, and 1 where it is within that.

    Rows of a group (n,) int64, from 0, may depend on each other, so the larger error, of rows or of
    groups, counts. Centred at the mean log-odds, so that few events move the level before the slope.
    Source: Platt (1999), "Probabilistic outputs for support vector machines"; soft thresholds,
    Donoho and Johnstone (1994), "Ideal spatial adaptation by wavelet shrinkage".
    """
    if trials.sum() == 0 or events.sum() == 0:
        return Calibration()
    centre = float(np.average(logits, weights=trials))
    design = np.stack([logits - centre, np.ones_like(logits)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(STEPS):
        pulls, curvature = _posterior(design, weights, centre, events, trials, dispersion)
        step = np.linalg.solve(curvature, pulls.sum(0) + _PRECISION * (weights - [1.0, 0.0]))
        weights = weights - step
        if np.abs(step).max() < FEWEST:
            break
    error = _slope_error(*_posterior(design, weights, centre, events, trials, dispersion), group)
    slope = _beyond(float(weights[0]), error)
    return Calibration(slope, float(weights[1] + centre - slope * centre))


def comparison_slope(
    logits: np.ndarray,
    events: np.ndarray,
    trials: np.ndarray,
    dispersion: float,
    group: np.ndarray,
) -> float:
    """The slope of the same prior by which row of its group each event fell on, likewise nearer to 1.

    For groups whose level nobody learned: how they differ from each other says nothing of elements.
    """
    many = int(group.max(initial=-1)) + 1
    exposed = np.log(np.maximum(trials, FEWEST))
    fell, counted = np.bincount(group, events * logits, many), np.bincount(group, events, many)
    slope, pulls, curvature = 1.0, np.zeros(many), 1 / PRIOR_SLOPE**2
    for _ in range(STEPS):
        odds = slope * logits + exposed
        peak = np.full(many, -np.inf)
        np.maximum.at(peak, group, odds)
        share = np.exp(odds - peak[group])
        share /= np.bincount(group, share, many)[group]
        mean = np.bincount(group, share * logits, many)
        varies = np.bincount(group, share * (logits - mean[group]) ** 2, many)
        pulls = (counted * mean - fell) / dispersion
        curvature = float(counted @ varies) / dispersion + 1 / PRIOR_SLOPE**2
        step = (float(pulls.sum()) + (slope - 1) / PRIOR_SLOPE**2) / curvature
        slope -= float(np.clip(step, -1, 1))
        if abs(step) < FEWEST:
            break
    return _beyond(slope, float(np.sqrt(max(1 / curvature, float(pulls @ pulls) / curvature**2))))


def _beyond(slope: float, error: float) -> float:
    """The slope one standard error nearer to 1, and 1 where it is within that."""
    off = slope - 1
    return float(np.clip(1 + np.sign(off) * max(abs(off) - error, 0.0), 0.2, 3.0))


def _posterior(
    design: np.ndarray,
    weights: np.ndarray,
    centre: float,
    events: np.ndarray,
    trials: np.ndarray,
    dispersion: float,
) -> tuple[np.ndarray, np.ndarray]:
    """(gradients (n, 2) of each row's loss, curvature (2, 2) of minus the log posterior)."""
    p = 1 / (1 + np.exp(-(design @ weights + centre)))
    pulls = design * ((trials * p - events) / dispersion)[:, None]
    curvature = (design * (trials * p * (1 - p) / dispersion)[:, None]).T @ design
    return pulls, curvature + np.diag(_PRECISION)


def _slope_error(pulls: np.ndarray, curvature: np.ndarray, group: np.ndarray) -> float:
    """Standard error of the first weight: by the curvature, or by how the groups' gradients vary
    (the sandwich of Liang and Zeger 1986), whichever is larger."""
    inverse = np.linalg.inv(curvature)
    by_group = np.stack([np.bincount(group, column) for column in pulls.T], axis=1)
    between = inverse @ (by_group.T @ by_group) @ inverse
    return float(np.sqrt(max(inverse[0, 0], between[0, 0])))


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
