"""Who gets hurt: the difference of two policies by slice, corrected for looking at many."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from model.evaluation.estimators.doubly_robust import doubly_robust
from model.evaluation.estimators.pseudo_inverse import pseudo_inverse
from model.evaluation.estimators.slot_doubly_robust import slot_doubly_robust
from model.evaluation.estimators.snips import snips
from model.evaluation.intervals import LEVEL, NOWHERE, Interval, influence, linearised
from model.evaluation.logged import POLICIES, Logged
from model.evaluation.totals import sum_by


@dataclass(frozen=True)
class Least:
    """How much a slice must hold to be compared."""

    displays: float = 1000
    clusters: int = 20
    events: float = 20

    def met_by(self, one: "Slice") -> bool:
        enough = one.displays >= self.displays and one.events >= self.events
        return enough and one.clusters >= self.clusters


@dataclass(frozen=True)
class Slice:
    """One slice: difference per display, and how surely the challenger does worse there.

    p_harm: one-sided, of "no worse than -margin"; p_holm: the same, corrected over all slices
    that are large enough. A slice that holds less than the least has nan throughout.
    """

    name: str
    value: str
    estimator: str
    displays: float
    events: float
    clusters: int
    difference: Interval
    p_harm: float
    p_holm: float


def slice_differences(
    logged: Logged,
    slices: Mapping[str, np.ndarray],
    *,
    level: float = LEVEL,
    margin: float = 0.0,
    least: Least = Least(),
    by_slot: bool = False,
) -> tuple[Slice, ...]:
    """Every value of every slice, worst lower bound first; thin slices last.

    slices: name -> (n,) labels of the rows. Doubly robust where there are predictions, else
    SNIPS; with the slots' weights pi_dr, else pi, where `by_slot`. Intervals are linearised over
    clusters, so hundreds of slices cost one pass each.
    """
    terms = _terms(logged, by_slot)
    found = []
    for name, labels in slices.items():
        for value, rows in _rows_by_label(np.asarray(labels)[logged.known]):
            slice_ = _unmeasured(terms, name, value, rows)
            thick = least.met_by(slice_)
            found.append(_measured(slice_, terms, rows, level, margin) if thick else slice_)
    corrected = holm(np.array([one.p_harm for one in found]))
    judged = [replace(one, p_holm=float(p)) for one, p in zip(found, corrected, strict=True)]
    return tuple(sorted(judged, key=_worst_first))


@dataclass(frozen=True)
class _Terms:
    estimator: str
    displays: np.ndarray
    events: np.ndarray
    cluster: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray


ESTIMATORS = {
    "snips": snips,
    "dr": doubly_robust,
    "pi": pseudo_inverse,
    "pi_dr": slot_doubly_robust,
}


def _terms(logged: Logged, by_slot: bool) -> _Terms:
    """The rows of known propensity: numerator and denominator (n, 2), challenger first."""
    names = ("pi", "pi_dr") if by_slot else ("snips", "dr")
    name = names[logged.q_logged is not None]
    both = [ESTIMATORS[name](logged.seen(policy)) for policy in POLICIES]
    return _Terms(
        name,
        logged.displays[logged.known],
        (logged.reward if logged.events is None else logged.events)[logged.known],
        logged.cluster[logged.known],
        np.stack([one.numerator for one in both], axis=1),
        np.stack([one.denominator for one in both], axis=1),
    )


def _rows_by_label(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    if not len(labels):
        return []
    values, at = np.unique(labels.astype(str), return_inverse=True)
    order = np.argsort(at, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(at, minlength=len(values)))[:-1])
    return list(zip(values.tolist(), parts, strict=True))


def _unmeasured(terms: _Terms, name: str, value: str, rows: np.ndarray) -> Slice:
    return Slice(
        name=name,
        value=value,
        estimator=terms.estimator,
        displays=float(terms.displays[rows].sum()),
        events=float(terms.events[rows].sum()),
        clusters=len(np.unique(terms.cluster[rows])),
        difference=NOWHERE,
        p_harm=math.nan,
        p_holm=math.nan,
    )


def _measured(slice_: Slice, terms: _Terms, rows: np.ndarray, level: float, margin: float) -> Slice:
    codes, at = np.unique(terms.cluster[rows], return_inverse=True)
    numerator = sum_by(at, terms.numerator[rows], len(codes))
    denominator = sum_by(at, terms.denominator[rows], len(codes))
    if not denominator.sum(0).all():
        return slice_
    values = numerator.sum(0) / denominator.sum(0)
    gap = linearised(float(values[0] - values[1]), influence(numerator, denominator))
    harm = gap.probability_below(-margin)
    return replace(slice_, difference=gap.interval(level), p_harm=harm)


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusted p-values, monotone and at most 1; nan stays nan and counts as no test.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    adjusted = np.full(len(p), math.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0)
    return adjusted


def _worst_first(one: Slice) -> tuple[bool, float, str, str]:
    low = one.difference.low
    return math.isnan(low), 0.0 if math.isnan(low) else low, one.name, one.value
