"""Laws of alpha spending: all looks together never spend more than the level."""

from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation.intervals import percentile_interval
from model.evaluation.spending import share, spent, take
from validation.gate.looks import due

NORMAL = NormalDist()
LOOKS = 20


@given(st.integers(1, 3000))
def test_any_number_of_looks_spends_less_than_all_of_it(looks):
    assert 0 < spent(looks) < 1


@given(st.integers(1, 10_000), st.floats(0.5, 0.999))
def test_every_look_is_stricter_than_the_one_before_and_than_all_together(look, level):
    assert level < take(look, level).level < take(look + 1, level).level < 1
    assert share(look + 1) < share(look)


def test_all_is_spent_in_the_long_run_and_most_of_it_at_the_first_look():
    assert spent(5000) == pytest.approx(1, abs=3e-4)
    assert share(1) > 0.6


@given(st.integers(1, 5000), st.floats(0.5, 0.999))
def test_the_gate_asks_for_what_is_spent(look, level):
    """The gate works its own number out; the two must not part."""
    assert due(look, level) == pytest.approx(take(look, level).level, abs=1e-12)


@pytest.mark.parametrize("look", [0, -1])
def test_a_look_before_the_first_is_refused(look):
    with pytest.raises(ValueError, match="expected 1 or later"):
        take(look)


def test_twenty_looks_at_overlapping_days_are_wrong_within_the_level_where_unspent_ones_are_not():
    """40,000 reigns of 20 looks, two held-out days each, one shared with the look before.

    2.5 % one-sided; the simulation's standard error is 0.08 %.
    """
    day = np.random.default_rng(0).normal(size=(40_000, LOOKS + 1))
    z = (day[:, 1:] + day[:, :-1]) / np.sqrt(2)
    bound = np.array([NORMAL.inv_cdf((1 + take(k).level) / 2) for k in range(1, LOOKS + 1)])
    assert 0.015 < (z > bound).any(1).mean() <= 0.025 + 3 * 0.0008
    assert (z > NORMAL.inv_cdf(0.975)).any(1).mean() > 0.25


@pytest.mark.parametrize("look", [1, 3, 20])
def test_a_thousand_draws_give_the_bounds_of_levels_that_they_are_too_few_for(look):
    """Normal draws: the bound is the normal quantile, within what the draws' spread allows."""
    level, reach = take(look).level, []
    for seed in range(40):
        drawn = np.random.default_rng(seed).normal(size=1000)
        found = percentile_interval(0.0, drawn, 100_000, level)
        reach += [-found.low, found.high]
    assert np.mean(reach) == pytest.approx(NORMAL.inv_cdf((1 + level) / 2), rel=0.06)


def test_a_stricter_level_never_narrows_an_interval():
    drawn = np.random.default_rng(3).gamma(2.0, size=500) - 2.0
    bounds = [percentile_interval(0.0, drawn, 5000, take(k).level) for k in range(1, 40)]
    assert all(b.low <= a.low and b.high >= a.high for a, b in pairwise(bounds))
