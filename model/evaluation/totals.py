"""Sums of every estimator's terms per cluster: all that values and intervals need of the rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from model.evaluation.estimators.direct import direct
from model.evaluation.estimators.doubly_robust import doubly_robust
from model.evaluation.estimators.ips import ips
from model.evaluation.estimators.mean_weight import mean_weight
from model.evaluation.estimators.snips import clipped_snips, snips
from model.evaluation.estimators.switch_dr import switch_dr
from model.evaluation.estimators.terms import Estimator
from model.evaluation.logged import POLICIES, Logged

SWITCH = 20.0
CLIPS = (5.0, 20.0, 100.0)


def standard_estimators(
    predicted: bool, switch: float = SWITCH, clips: tuple[float, ...] = CLIPS
) -> dict[str, Estimator]:
    """The estimators shown side by side, by name; those that need q only if `predicted`."""
    chosen: dict[str, Estimator] = {"ips": ips, "snips": snips}
    if predicted:
        chosen |= {"direct": direct, "dr": doubly_robust}
        chosen["switch_dr"] = partial(switch_dr, switch=switch)
    clipped = {f"snips_clip_{clip:g}": partial(clipped_snips, clip=clip) for clip in clips}
    return chosen | clipped | {"mean_weight": mean_weight}


@dataclass(frozen=True)
class Totals:
    """Sums per cluster, mergeable with `+` (other days, other shards).

    cluster (C,): sorted codes. numerator, denominator (C, E, 2): per estimator for challenger and
    incumbent. A cluster on both sides of `+` is one cluster of the sum.
    """

    cluster: np.ndarray
    estimators: tuple[str, ...]
    numerator: np.ndarray
    denominator: np.ndarray

    def __add__(self, other: "Totals") -> "Totals":
        if self.estimators != other.estimators:
            raise ValueError(
                f"found totals of {self.estimators} and of {other.estimators}, expected the same "
                "estimators on both sides of +; tally both days with the same settings"
            )
        codes, at = np.unique(np.concatenate([self.cluster, other.cluster]), return_inverse=True)
        both = [np.concatenate(pair) for pair in zip(self.parts(), other.parts(), strict=True)]
        return Totals(codes, self.estimators, *(sum_by(at, part, len(codes)) for part in both))

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        return self.numerator, self.denominator

    def column(self, estimator: str) -> int:
        """Where an estimator's sums are."""
        return self.estimators.index(estimator)

    def values(self) -> np.ndarray:
        """(E, 2) value of both policies by every estimator; nan where the denominator is 0."""
        return ratio(self.numerator.sum(0), self.denominator.sum(0))


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """numerator / denominator, nan where the denominator is 0."""
    nothing = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=nothing, where=np.not_equal(denominator, 0))


def sum_by(at: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
    """(size, ...) sums of the rows of `columns` (n, ...) that share a place `at` (n,)."""
    flat = columns.reshape(len(columns), math.prod(columns.shape[1:]))
    sums = [np.bincount(at, weights=flat[:, k], minlength=size) for k in range(flat.shape[1])]
    return np.stack(sums, axis=1).reshape(size, *columns.shape[1:])


def tally(logged: Logged, estimators: Mapping[str, Estimator]) -> Totals:
    """The sums of the rows of known propensity, per cluster, for both policies."""
    codes, at = np.unique(logged.cluster[logged.known], return_inverse=True)
    shape = (len(codes), len(estimators), len(POLICIES))
    numerator, denominator = np.zeros(shape), np.zeros(shape)
    for j, policy in enumerate(POLICIES):
        seen = logged.seen(policy)
        for e, estimator in enumerate(estimators.values()):
            terms = estimator(seen)
            numerator[:, e, j] = np.bincount(at, terms.numerator, len(codes))
            denominator[:, e, j] = np.bincount(at, terms.denominator, len(codes))
    return Totals(codes, tuple(estimators), numerator, denominator)
