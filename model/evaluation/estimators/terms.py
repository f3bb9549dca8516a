"""Every estimator is a ratio of two sums over rows, which is what lets estimates merge with `+`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.evaluation.logged import Seen


@dataclass(frozen=True)
class Terms:
    """What each row adds: the policy's value is numerator.sum() / denominator.sum()."""

    numerator: np.ndarray
    denominator: np.ndarray


Estimator = Callable[[Seen], Terms]


def predictions(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """(q_logged, q_policy), each (n,); raises ValueError where there are none."""
    if seen.q_logged is None or seen.q_policy is None:
        raise ValueError(
            "found no q_logged and q_policy, expected predictions of a reward model; "
            "give them to Logged or leave this estimator out"
        )
    return seen.q_logged, seen.q_policy


def slot_weights(seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """(weight with 0 where unknown, 1.0 where known), each (n,); ValueError where there are none."""
    if seen.slot_weight is None:
        raise ValueError(
            "found no slot_weight, expected one a row (model/evaluation/slots.py); "
            "give slot weights to Logged or leave this estimator out"
        )
    covered = np.isfinite(seen.slot_weight)
    return np.where(covered, seen.slot_weight, 0.0), covered.astype(np.float64)
