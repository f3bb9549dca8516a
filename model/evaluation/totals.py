"""Sums of every estimator's terms per cluster: all that values and intervals need of the rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from model.evaluation.estimators.direct import direct
from model.evaluation.estimators.doubly_robust import doubly_robust
from model.evaluation.estimators.independent_slots import independent_slots
from model.evaluation.estimators.ips import ips
from model.evaluation.estimators.mean_weight import mean_weight
from model.evaluation.estimators.pseudo_inverse import (
    clipped_pseudo_inverse,
    pseudo_inverse,
    slot_mean_weight,
)
from model.evaluation.estimators.shrunk_dr import shrunk_dr
from model.evaluation.estimators.slot_doubly_robust import (
    clipped_slot_doubly_robust,
    slot_doubly_robust,
)
from model.evaluation.estimators.snips import clipped_snips, snips
from model.evaluation.estimators.switch_dr import switch_dr
from model.evaluation.estimators.terms import Estimator
from model.evaluation.logged import POLICIES, Logged, Seen

SWITCH = 20.0
SHRINK = SWITCH**2  # halves a weight of SWITCH
CLIPS = (5.0, 20.0, 100.0)
ROWS_AT_ONCE = 500_000
SPARSE = 4  # codes whose range is so many times the rows are sorted


def standard_estimators(
    predicted: bool,
    switch: float = SWITCH,
    clips: tuple[float, ...] = CLIPS,
    slots: bool = False,
) -> dict[str, Estimator]:
    """The estimators shown side by side, by name; those that need q only if `predicted`.

    slots: those of the slots' weights too.
    """
    chosen: dict[str, Estimator] = {"ips": ips, "snips": snips}
    if predicted:
        chosen |= {"direct": direct, "dr": doubly_robust}
        chosen["switch_dr"] = partial(switch_dr, switch=switch)
        chosen["dr_os"] = partial(shrunk_dr, shrink=SHRINK)
    clipped = {f"snips_clip_{clip:g}": partial(clipped_snips, clip=clip) for clip in clips}
    by_slot = slot_estimators(predicted, clips) if slots else {}
    return chosen | clipped | {"mean_weight": mean_weight} | by_slot


def slot_estimators(predicted: bool, clips: tuple[float, ...] = CLIPS) -> dict[str, Estimator]:
    """The estimators that ask the log for elements instead of combinations."""
    chosen: dict[str, Estimator] = {"pi": pseudo_inverse, "independent": independent_slots}
    if predicted:
        chosen["pi_dr"] = slot_doubly_robust
    for clip in clips:
        chosen[f"pi_clip_{clip:g}"] = partial(clipped_pseudo_inverse, clip=clip)
        if predicted:
            chosen[f"pi_dr_clip_{clip:g}"] = partial(clipped_slot_doubly_robust, clip=clip)
    return chosen | {"pi_mean_weight": slot_mean_weight}


@dataclass(frozen=True)
class Totals:
    """Sums per cluster, mergeable with `+` (other days, other shards).

    cluster (C,): sorted codes. numerator, denominator (C, E, 2): per estimator for challenger and
    incumbent. A cluster on both sides of `+` is one cluster of the sum. folded: how many clusters
    are behind groups put together at random, 0 where each is itself; groups do not merge.
    """

    cluster: np.ndarray
    estimators: tuple[str, ...]
    numerator: np.ndarray
    denominator: np.ndarray
    folded: int = 0

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return self.folded or len(self.cluster)

    def __add__(self, other: "Totals") -> "Totals":
        if self.folded or other.folded:
            raise ValueError(
                "found totals of clusters put together at random, expected each cluster's own; "
                "tally days that are to be merged without `fold`"
            )
        if self.estimators != other.estimators:
            raise ValueError(
                f"found totals of {self.estimators} and of {other.estimators}, expected the same "
                "estimators on both sides of +; tally both days with the same settings"
            )
        codes, at = np.unique(np.concatenate([self.cluster, other.cluster]), return_inverse=True)
        both = [np.concatenate(pair) for pair in zip(self.parts(), other.parts(), strict=True)]
        numerator, denominator = (sum_by(at, part, len(codes)) for part in both)
        return Totals(codes, self.estimators, numerator, denominator)

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


def tally(
    logged: Logged, estimators: Mapping[str, Estimator], fold: int | None = None, seed: int = 0
) -> Totals:
    """The sums of the rows of known propensity, per cluster, for both policies.

    fold: above so many clusters they are put together at random into as many groups, which are
    as independent as they are (intervals.grouped does the same later, of sums that are larger).
    """
    codes, at = coded(logged.cluster if logged.known.all() else logged.cluster[logged.known])
    behind = 0
    if fold is not None and len(codes) > fold:
        behind = len(codes)
        at = (np.random.default_rng(seed).permutation(behind) % fold).astype(np.int32)[at]
        codes = np.arange(fold)
    shape = (len(codes), len(estimators), len(POLICIES))
    numerator, denominator = np.zeros(shape), np.zeros(shape)
    for j, policy in enumerate(POLICIES):
        seen = logged.seen(policy)
        for start in range(0, len(at), max(ROWS_AT_ONCE, len(codes))):
            rows = slice(start, start + max(ROWS_AT_ONCE, len(codes)))
            _add(seen.rows(rows), at[rows], estimators, numerator[..., j], denominator[..., j])
    return Totals(codes, tuple(estimators), numerator, denominator, behind)


def _add(
    seen: Seen,
    at: np.ndarray,
    estimators: Mapping[str, Estimator],
    numerator: np.ndarray,
    denominator: np.ndarray,
) -> None:
    """Adds the rows' terms to the sums (C, E) of one policy."""
    size = len(numerator)
    displays = np.bincount(at, seen.displays, size)
    for e, estimator in enumerate(estimators.values()):
        terms = estimator(seen)
        numerator[:, e] += np.bincount(at, terms.numerator, size)
        shared = terms.denominator is seen.displays
        denominator[:, e] += displays if shared else np.bincount(at, terms.denominator, size)


def coded(cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sorted codes, place (n,) of each row's code); whole numbers of a small range unsorted."""
    if len(cluster) and np.issubdtype(cluster.dtype, np.integer):
        least, most = int(cluster.min()), int(cluster.max())
        if most - least < SPARSE * len(cluster):
            present = np.zeros(most - least + 1, bool)
            present[cluster - least] = True
            place = np.cumsum(present, dtype=np.int32) - 1
            return np.flatnonzero(present) + least, place[cluster - least]
    return np.unique(cluster, return_inverse=True)
