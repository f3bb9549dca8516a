"""Laws of intervals where few clusters carry most of a difference."""

import numpy as np
import pytest

from model.evaluation.intervals import freedom_of, percentile_interval


def heavy(seed: int, clusters: int = 400) -> np.ndarray:
    """Influence with a long tail to the right, summing to 0."""
    shares = np.random.default_rng(seed).lognormal(0, 1.5, clusters)
    return (shares - shares.mean()) / clusters


def drawn_of(shares: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([shares[rng.integers(len(shares), size=len(shares))].sum() for _ in range(600)])


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_on_the_side_of_the_longer_tail_is_wider_and_the_other_as_it_was(seed):
    shares = heavy(seed)
    drawn = drawn_of(shares, seed)
    plain = percentile_interval(0.0, drawn, len(shares))
    found = percentile_interval(0.0, drawn, len(shares), shares=shares)
    assert found.high > 1.02 * plain.high
    assert found.low == plain.low


def test_mirrored_draws_give_mirrored_bounds():
    shares = heavy(5)
    drawn = drawn_of(shares, 5)
    right = percentile_interval(0.0, drawn, len(shares), shares=shares)
    left = percentile_interval(0.0, -drawn, len(shares), shares=-shares)
    assert (left.low, left.high) == (-right.high, -right.low)


def test_equal_clusters_have_all_their_freedom_and_one_that_carries_all_the_least():
    even = np.tile([1.0, -1.0], 50)
    one = np.append(np.full(99, -1e-6), 1.0)
    assert freedom_of(even) == 99
    assert freedom_of(one) == 3
    assert freedom_of(np.zeros(100)) == 99


def test_intervals_of_heavy_clusters_cover_the_mean_oftener_for_it():
    """500 samples of 150 lognormal clusters: what is gained is beyond chance (paired)."""
    truth, hits = np.exp(0.5 * 1.2**2), np.zeros(2)
    for seed in range(500):
        rng = np.random.default_rng(seed)
        sample = rng.lognormal(0, 1.2, 150)
        picks = rng.integers(150, size=(300, 150))
        drawn, shares = sample[picks].mean(1), (sample - sample.mean()) / 150
        for k, known in enumerate((None, shares)):
            found = percentile_interval(float(sample.mean()), drawn, 150, shares=known)
            hits[k] += found.low <= truth <= found.high
    assert hits[1] >= hits[0] + 5
    assert hits[1] / 500 > 0.89
