"""The reward models of challenger and champion on identical rows, with paired intervals."""

from dataclasses import dataclass

import numpy as np

from model.evaluation.calibration import (
    BINS,
    bin_of,
    calibration_error,
    calibration_ratio,
    calibration_slope,
)
from model.evaluation.intervals import (
    DRAWS,
    LEVEL,
    Interval,
    bootstrap,
    percentile_interval,
    pivotal_interval,
)
from model.evaluation.ranking import within_product_auc
from model.evaluation.totals import ratio, sum_by

METRICS = ("log_loss", "auc", "calibration_error", "calibration_ratio", "calibration_slope")
SURE = 1e-7


@dataclass(frozen=True)
class Outcomes:
    """What happened: row i has clicks_i of displays_i. All (n,); cluster and product any codes."""

    clicks: np.ndarray
    displays: np.ndarray
    product: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Metrics of challenger and champion by name (METRICS), and challenger less champion.

    champion and difference are None without a champion. log_loss is per display, auc within
    product, calibration_error a share of all clicks.
    """

    challenger: dict[str, Interval]
    champion: dict[str, Interval] | None
    difference: dict[str, Interval] | None
    displays: float
    events: float
    pairs: float
    clusters: int


def score(
    outcomes: Outcomes,
    challenger: np.ndarray,
    champion: np.ndarray | None = None,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Scores:
    """Metrics of predicted rates (n,) in [0, 1]; the same draws of clusters serve both models.

    Raises ValueError where a prediction is not a probability.
    """
    predictions = [p for p in (challenger, champion) if p is not None]
    sums = np.concatenate([_sums(outcomes, p) for p in predictions], axis=1)
    shape = (len(predictions), 4 + 3 * BINS)
    value = _metrics(sums.sum(0).reshape(shape))
    drawn = bootstrap(sums, lambda s: _metrics(s.reshape(len(s), *shape)), draws, seed)
    clusters = len(sums)
    both = [_intervals(value[j], drawn[:, j], clusters, level) for j in range(len(predictions))]
    gap = None
    if champion is not None:
        gap = _intervals(value[0] - value[1], drawn[:, 0] - drawn[:, 1], clusters, level, -np.inf)
    return Scores(
        challenger=both[0],
        champion=None if champion is None else both[1],
        difference=gap,
        displays=float(outcomes.displays.sum()),
        events=float(outcomes.clicks.sum()),
        pairs=float(sums[:, 2].sum()),
        clusters=clusters,
    )


def log_losses(clicks: np.ndarray, displays: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(n,) -(c log p + (n - c) log(1 - p)), predictions kept within 1e-7 of 0 and 1."""
    p = np.clip(predicted, SURE, 1 - SURE)
    return -(clicks * np.log(p) + (displays - clicks) * np.log1p(-p))


def _sums(outcomes: Outcomes, predicted: np.ndarray) -> np.ndarray:
    """(C, 4 + 3 bins): loss, won, pairs, displays, then clicks, expected and displays of bins."""
    predicted = np.asarray(predicted, np.float64)
    _check(predicted, len(outcomes.clicks))
    clicks, displays = outcomes.clicks, outcomes.displays
    codes, at = np.unique(outcomes.cluster, return_inverse=True)
    won, pairs = within_product_auc(predicted, clicks, displays, outcomes.product, outcomes.cluster)
    loss = np.stack([log_losses(clicks, displays, predicted), displays], axis=1)
    cell = at * BINS + bin_of(predicted, displays)
    columns = np.stack([clicks, predicted * displays, displays], axis=1)
    binned = sum_by(cell, columns, len(codes) * BINS).reshape(len(codes), BINS, 3)
    per_cluster = sum_by(at, loss, len(codes))
    linear = np.stack([per_cluster[:, 0], won, pairs, per_cluster[:, 1]], axis=1)
    return np.concatenate([linear, binned.transpose(0, 2, 1).reshape(len(codes), 3 * BINS)], axis=1)


def _check(predicted: np.ndarray, rows: int) -> None:
    bad = ~((predicted >= 0) & (predicted <= 1))
    if len(predicted) != rows or bad.any():
        raise ValueError(
            f"found {len(predicted)} predictions, {int(bad.sum())} of them outside [0, 1], "
            f"expected {rows} probabilities, one a row; check the reward model's calibration"
        )


def _metrics(sums: np.ndarray) -> np.ndarray:
    """(..., 4 + 3 bins) sums -> (..., 5) metrics in the order of METRICS."""
    loss, won, pairs, displays = np.moveaxis(sums[..., :4], -1, 0)
    clicks, expected, shown = np.split(sums[..., 4:], 3, axis=-1)
    each = (
        ratio(loss, displays),
        ratio(won, pairs),
        calibration_error(clicks, expected),
        calibration_ratio(clicks, expected),
        calibration_slope(clicks, expected, shown),
    )
    return np.stack(each, axis=-1)


def _intervals(
    value: np.ndarray, drawn: np.ndarray, clusters: int, level: float, floor: float = 0.0
) -> dict[str, Interval]:
    found = {}
    for k, name in enumerate(METRICS):
        v, d = float(value[k]), drawn[:, k]
        if name == "calibration_error":
            found[name] = pivotal_interval(v, d, clusters, level, floor)
        else:
            found[name] = percentile_interval(v, d, clusters, level)
    return found
