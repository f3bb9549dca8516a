"""The receiver operating characteristic of predicted rates, at a handful of thresholds."""

import numpy as np

POINTS = 50


def roc_points(
    predicted: np.ndarray, clicks: np.ndarray, displays: np.ndarray, points: int = POINTS
) -> dict[str, list[float]]:
    """False and true positive rates of "predicted >= threshold", thresholds falling from the top.

    Rows (n,) weigh as many displays as they stand for. At most `points` thresholds, spread evenly
    over the displays, then one that takes everything. Empty where nothing or everything clicked.
    Source: Fawcett (2006), "An introduction to ROC analysis".
    """
    won, lost = float(clicks.sum()), float((displays - clicks).sum())
    if won <= 0 or lost <= 0:
        return {"false_positive_rate": [], "true_positive_rate": [], "threshold": []}
    order = np.argsort(-predicted, kind="stable")
    ends = np.flatnonzero(np.diff(predicted[order], append=-np.inf))  # of rows that predict alike
    shown = np.cumsum(displays[order])[ends]
    wanted = np.linspace(0, shown[-1], min(points, len(ends)) + 1)[1:]
    at = np.unique(np.minimum(np.searchsorted(shown, wanted), len(ends) - 1))
    hits = np.cumsum(clicks[order])[ends][at]
    return {
        "false_positive_rate": [0.0, *((shown[at] - hits) / lost).tolist()],
        "true_positive_rate": [0.0, *(hits / won).tolist()],
        "threshold": [1.0, *predicted[order][ends][at].tolist()],
    }
