"""Intervals that respect clusters: paired bootstrap, linearisation, empirical Bernstein.

Clusters (users, or products and days) are drawn whole and the same draw serves both policies, so
what they share cancels in the difference. Percentiles, not mirrored or linearised bounds, decide:
where clicks are rare they err least on the side that would promote. Bounds that the clusters
can't give are infinite.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
DRAWS = 1000
MOST_CLUSTERS = 20_000
FEWEST_CLUSTERS = 2
CELLS_AT_ONCE = 2_000_000
NO_SKEW = 1e-9
FEWEST_FREEDOM = 3
MOST_ACCELERATION = 0.12
LEAST_BRAKE = 0.25
DRAWS_BEYOND = 4
MOST_TAIL = 0.16


@dataclass(frozen=True)
class Interval:
    """A value between its bounds; nan where it can't be estimated."""

    value: float
    low: float
    high: float


NOWHERE = Interval(math.nan, math.nan, math.nan)


def resamples(clusters: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks (b, clusters) of how often each cluster is drawn: multinomial, memory bounded.

    The chunks together have `draws` rows. The same seed gives the same draws.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // max(clusters, 1))
    for start in range(0, draws, at_once):
        b = min(at_once, draws - start)
        drawn = rng.integers(clusters, size=(b, clusters))
        drawn += clusters * np.arange(b)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=b * clusters)
        yield counts.reshape(b, clusters).astype(np.float64)


def grouped(sums: np.ndarray, seed: int, most: int = MOST_CLUSTERS) -> np.ndarray:
    """(at most `most`, K): the clusters' sums (C, K), put together at random where there are more.

    Groups of independent clusters are independent, so an interval drawn from them is as valid;
    its width has a relative error of sqrt(1 / (2 most)).
    """
    if len(sums) <= most:
        return sums
    place = np.random.default_rng(seed).permutation(len(sums)) % most
    return np.stack([np.bincount(place, column, most) for column in sums.T], axis=1)


def bootstrap(
    sums: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    draws: int = DRAWS,
    seed: int = 0,
) -> np.ndarray:
    """(draws, ...) the statistic on clusters drawn with replacement (Efron 1979; Field and Welsh
    2007 for clusters).

    sums (C, K): per cluster. statistic: (b, K) sums of b draws -> (b, ...) numbers.
    Without clusters every sum is 0.
    """
    if not len(sums):
        return statistic(np.zeros((draws, sums.shape[1])))
    drawn_from = grouped(sums, seed)
    chunks = resamples(len(drawn_from), draws, seed)
    return np.concatenate([statistic(counts @ drawn_from) for counts in chunks])


def percentile_interval(
    value: float,
    drawn: np.ndarray,
    clusters: int,
    level: float = LEVEL,
    shares: np.ndarray | None = None,
) -> Interval:
    """The middle `level` of the draws, widened for few clusters; unbounded with fewer than 2.

    The tails are Phi(-sqrt(C / (C-1)) t_{C-1}), not alpha/2 (Hesterberg 2015, "What teachers
    should know about the bootstrap"). A draw in which the statistic is undefined (no weight, no
    pair) counts as beyond either bound. Where the level leaves less than DRAWS_BEYOND draws
    beyond a bound, the bound of a wider tail is stretched in proportion to normal quantiles.

    shares: the clusters' influence (C,). Where few clusters carry most of it, the draws know too
    little of the longer tail: the bound on its side takes the freedom that `freedom_of` finds and
    is accelerated by the skewness (Efron 1987, "Better bootstrap confidence intervals"). The
    other bound stays, as acceleration would draw it nearer, which small samples do not bear.
    """
    if not math.isfinite(value):
        return NOWHERE
    if clusters < FEWEST_CLUSTERS:
        return Interval(value, -math.inf, math.inf)
    plain = _reach(level, clusters - 1)
    if shares is None:
        return Interval(value, _bound(value, drawn, -1, plain), _bound(value, drawn, 1, plain))
    long, side = _accelerated(_reach(level, freedom_of(shares)), shares)
    ends = _bound(value, drawn, side, max(long, plain)), _bound(value, drawn, -side, plain)
    return Interval(value, min(ends), max(ends))


def _reach(level: float, freedom: int) -> float:
    return math.sqrt((freedom + 1) / freedom) * t_quantile((1 + level) / 2, freedom)


def _accelerated(reach: float, shares: np.ndarray) -> tuple[float, int]:
    """How far the bound on the longer tail's side reaches, and which side that is (1: above).

    a + (a + z) / (1 - a (a + z)), with the acceleration a a sixth of the skewness, at most
    MOST_ACCELERATION, for the bias correction too, as for a mean.
    """
    square, cube = float(np.square(shares).sum()), float((shares**3).sum())
    a = min(abs(cube) / square**1.5 / 6, MOST_ACCELERATION) if square > 0 else 0.0
    far = a + (a + reach) / max(1 - a * (a + reach), LEAST_BRAKE)
    return far, 1 if cube > 0 else -1


def _bound(value: float, drawn: np.ndarray, side: int, reach: float) -> float:
    """The lower (side -1) or upper (1) bound; the lower is the upper of what is mirrored."""
    tail = max(NormalDist().cdf(-reach), min(DRAWS_BEYOND / len(drawn), MOST_TAIL))
    mirrored = np.where(np.isfinite(drawn), side * drawn, np.inf)
    end = float(np.quantile(mirrored, 1 - tail, method="higher"))
    stretch = max(reach / -NormalDist().inv_cdf(tail), 1.0)
    return side * max(end, side * value + stretch * (end - side * value))


def freedom_of(shares: np.ndarray) -> int:
    """Degrees of freedom of the variance that the clusters' influence (C,) gives.

    2 / cv^2 of the estimated variance, at most C - 1, at least FEWEST_FREEDOM of them. Source:
    Satterthwaite (1946), "An approximate distribution of estimates of variance components".
    """
    most, square = len(shares) - 1, float(np.square(shares).sum())
    if square == 0:
        return most
    spread = float((shares**4).sum()) / square**2 - 1 / len(shares)
    return min(most, max(int(2 / max(spread, 1e-12)), FEWEST_FREEDOM))


def pivotal_interval(
    value: float, drawn: np.ndarray, clusters: int, level: float = LEVEL, floor: float = -math.inf
) -> Interval:
    """The percentile interval mirrored at the value, its centre freed of the bootstrap's bias.

    For statistics that noise can only raise (calibration error). Nothing is below `floor`.
    Source: Davison and Hinkley (1997), "Bootstrap methods and their application", 5.2.
    """
    raw = percentile_interval(value, drawn, clusters, level)
    defined = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(defined):
        return NOWHERE
    ends = (2 * value - float(defined.mean()), 2 * value - raw.high, 2 * value - raw.low)
    return Interval(*(max(end, floor) for end in ends))


def influence(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """(C,) each cluster's share in the error of (value of policy 0) - (value of policy 1).

    numerator, denominator (C, 2). Sums to 0; the difference's variance is the sum of its squares.
    Source: Jeunen and Ustimenko (2024), arXiv 2405.10024, linearised for ratios of sums.
    """
    whole = denominator.sum(0)
    value = numerator.sum(0) / whole
    parts = (numerator - value * denominator) / whole
    return parts[:, 0] - parts[:, 1]


@dataclass(frozen=True)
class Linear:
    """A difference with its standard error and a third of its standardised skewness."""

    value: float
    error: float
    skew: float
    clusters: int

    def interval(self, level: float = LEVEL) -> Interval:
        """The bounds whose studentised distance, freed of skewness, is the t quantile."""
        if self.clusters < FEWEST_CLUSTERS:
            return Interval(self.value, -math.inf, math.inf)
        reach = t_quantile((1 + level) / 2, self.clusters - 1)
        low, high = (self.value - self.error * self._skewed(x) for x in (reach, -reach))
        return Interval(self.value, low, high)

    def probability_below(self, threshold: float) -> float:
        """One-sided p-value of "the true value is at least the threshold"; nan for 1 cluster."""
        if self.clusters < FEWEST_CLUSTERS:
            return math.nan
        if self.error == 0:
            return float(self.value >= threshold)
        return NormalDist().cdf(self._straight((self.value - threshold) / self.error))

    def _straight(self, t: float) -> float:
        a = self.skew
        return t + a * t**2 + a**2 * t**3 / 3 + a / 2

    def _skewed(self, z: float) -> float:
        a = self.skew
        return (math.cbrt(1 + 3 * a * (z - a / 2)) - 1) / a if abs(a) > NO_SKEW else z


def linearised(value: float, shares: np.ndarray) -> Linear:
    """What the clusters' influence (C,) says of a value's error, without drawing.

    Cheap enough for hundreds of slices. Skewness is corrected for by Hall's monotone
    transformation: Hall (1992), "On the removal of skewness by transformation".
    """
    clusters, square = len(shares), float(np.square(shares).sum())
    error = math.sqrt(square * clusters / max(clusters - 1, 1))
    skew = float((shares**3).sum()) / square**1.5 / 3 if square > 0 else 0.0
    return Linear(value, error, skew, clusters)


def bernstein_interval(value: float, shares: np.ndarray, level: float = LEVEL) -> Interval:
    """Empirical Bernstein interval from the clusters' influence (C,): wide, of finite sample.

    value +- sqrt(2 V ln(4/d) / C) + 7 R ln(4/d) / (3 (C - 1)), d = 1 - level, V and R variance
    and range of C * influence. The bound is exact for a range known beforehand; R is the largest
    deviation that was seen, which is what there is.
    Source: Maurer and Pontil (2009), "Empirical Bernstein bounds", theorem 4, both sides.
    """
    clusters = len(shares)
    if clusters < FEWEST_CLUSTERS or not math.isfinite(value):
        return Interval(value, -math.inf, math.inf)
    scaled = clusters * shares
    log_term = math.log(4 / (1 - level))
    half = math.sqrt(2 * float(scaled.var(ddof=1)) * log_term / clusters)
    half += 7 * float(np.ptp(scaled)) * log_term / (3 * (clusters - 1))
    return Interval(value, value - half, value + half)


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t, by the expansion around the normal (Abramowitz and Stegun 26.7.5).

    Exact for 1 and 2 degrees of freedom; within 1 % from 3 on at the usual levels.
    """
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (k + 1) for k, term in enumerate(terms))
