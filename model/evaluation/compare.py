"""Challenger against incumbent on the same rows, by every estimator, with paired intervals."""

from dataclasses import dataclass

import numpy as np

from model.evaluation.intervals import (
    DRAWS,
    LEVEL,
    NOWHERE,
    Interval,
    bernstein_interval,
    bootstrap,
    influence,
    percentile_interval,
)
from model.evaluation.logged import Logged
from model.evaluation.totals import Totals, coded, ratio

MEAN_WEIGHT = "mean_weight"
AGREEMENT = ("snips", "dr")
SLOT_AGREEMENT = ("pi_dr", "switch_dr")


@dataclass(frozen=True)
class Estimate:
    """One estimator's word on both policies, in reward per display."""

    challenger: Interval
    incumbent: Interval
    difference: Interval
    bernstein: Interval


@dataclass(frozen=True)
class Comparison:
    """Every estimator side by side, from the same draws.

    `agreement` is the difference by SNIPS less the difference by DR: 0 within it, they agree.
    `slot_agreement`: the same of pi_dr less switch-DR.
    """

    estimates: dict[str, Estimate]
    agreement: Interval
    slot_agreement: Interval
    clusters: int
    level: float


def compare(
    totals: Totals,
    *,
    level: float = LEVEL,
    checks: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Values, differences and their intervals; both policies and all estimators share each draw.

    checks: level of the agreement and of the mean weight, which ask whether 0 or 1 lies within:
    a stricter `level` would make them easier to pass.
    """
    clusters = totals.clusters
    values = totals.values()
    if not clusters:
        nothing = Estimate(NOWHERE, NOWHERE, NOWHERE, NOWHERE)
        return Comparison(dict.fromkeys(totals.estimators, nothing), NOWHERE, NOWHERE, 0, level)
    drawn = _draw(totals, draws, seed)
    estimates = {
        name: _estimate(
            totals, e, values[e], drawn[:, e], checks if name.endswith(MEAN_WEIGHT) else level
        )
        for e, name in enumerate(totals.estimators)
    }
    return Comparison(
        estimates,
        agreement=_apart(totals, values, drawn, checks, AGREEMENT),
        slot_agreement=_apart(totals, values, drawn, checks, SLOT_AGREEMENT),
        clusters=clusters,
        level=level,
    )


def _draw(totals: Totals, draws: int, seed: int) -> np.ndarray:
    """(draws, E, 2) values on drawn clusters."""
    shape = totals.numerator.shape
    sums = np.stack(totals.parts(), axis=1).reshape(shape[0], -1)

    def values(summed: np.ndarray) -> np.ndarray:
        parts = summed.reshape(-1, 2, *shape[1:])
        return ratio(parts[:, 0], parts[:, 1])

    return bootstrap(sums, values, draws, seed)


def _estimate(
    totals: Totals, e: int, value: np.ndarray, drawn: np.ndarray, level: float
) -> Estimate:
    clusters = totals.clusters
    gap = float(value[0] - value[1])
    bernstein, shares = NOWHERE, None
    if np.isfinite(gap):
        shares = influence(totals.numerator[:, e], totals.denominator[:, e])
        bernstein = bernstein_interval(gap, shares, level)
    return Estimate(
        challenger=percentile_interval(float(value[0]), drawn[:, 0], clusters, level),
        incumbent=percentile_interval(float(value[1]), drawn[:, 1], clusters, level),
        difference=percentile_interval(gap, drawn[:, 0] - drawn[:, 1], clusters, level, shares),
        bernstein=bernstein,
    )


def _apart(
    totals: Totals, values: np.ndarray, drawn: np.ndarray, level: float, pair: tuple[str, str]
) -> Interval:
    """How far two estimators' differences are apart, from the draws that both share."""
    if not set(pair) <= set(totals.estimators):
        return NOWHERE
    gap, gaps = values[:, 0] - values[:, 1], drawn[..., 0] - drawn[..., 1]
    a, b = (totals.column(name) for name in pair)
    apart = float(gap[a] - gap[b])
    return percentile_interval(apart, gaps[:, a] - gaps[:, b], totals.clusters, level)


def predicted_gain(
    logged: Logged, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """What the judging reward model itself expects of the change, per display.

    Mean of q_challenger - q_incumbent (q_logged where the incumbent is the logging policy): the
    check that a reward model from other folds agrees with the one the generator trained on. Needs
    no propensity, and is no estimate of value.
    """
    reference = logged.q_logged if logged.q_incumbent is None else logged.q_incumbent
    if logged.q_challenger is None or reference is None:
        return NOWHERE
    codes, at = coded(logged.cluster)
    gain = np.bincount(at, logged.displays * (logged.q_challenger - reference), len(codes))
    sums = np.stack([gain, np.bincount(at, logged.displays, len(codes))], axis=1)
    drawn = bootstrap(sums, lambda summed: ratio(summed[:, 0], summed[:, 1]), draws, seed)
    value = float(ratio(gain.sum(), sums[:, 1].sum()))
    return percentile_interval(value, drawn, len(codes), level)
