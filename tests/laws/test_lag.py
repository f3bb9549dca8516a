"""The attribution-lag curve: right where displays are old, and where they are too young to tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.sanity.lag import completeness, lag_curve

DAYS = [24.0 * day for day in range(1, 8)]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200))
def test_of_old_displays_the_curve_is_the_plain_share(lags: list[int]) -> None:
    rows = [{"lag": 24.0 * lag + 12, "age": 500.0, "events": 1} for lag in lags]
    curve = lag_curve(rows, DAYS)
    plain = [np.mean(np.array(lags) <= day) for day in range(7)]
    assert curve.shares == pytest.approx(plain)
    assert curve.events == len(lags)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=100))
def test_a_curve_rises_to_one_whatever_is_known(seen: list[tuple[int, int]]) -> None:
    rows = [{"lag": 24.0 * a + 1, "age": 24.0 * (a + b) + 2, "events": 1} for a, b in seen]
    shares = np.array(lag_curve(rows, DAYS).shares)
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] == (1.0 if seen else 0.0)


def young(seed: int, displays: int = 60_000) -> list[dict[str, float]]:
    """Events whose lag is exponential of two days, of displays up to seven days old; the seen."""
    rng = np.random.default_rng(seed)
    age = 24 * rng.uniform(0, 8, displays)
    lag = rng.exponential(48.0, displays)
    seen = (lag < age) & (lag < 168)
    return [{"lag": x, "age": y, "events": 1} for x, y in zip(lag[seen], age[seen], strict=True)]


def truth(hours: float) -> float:
    """Of events within seven days, the share within so many hours."""
    return float((1 - np.exp(-hours / 48)) / (1 - np.exp(-168 / 48)))


def test_young_displays_do_not_make_events_look_early() -> None:
    rows = young(0)
    hourly = [float(hour) for hour in range(1, 169)]
    curve = lag_curve(rows, hourly)
    lags = np.array([row["lag"] for row in rows])
    for hours in (12.0, 24.0, 72.0):
        plain = float((lags <= hours).mean())
        assert curve.reached(hours) == pytest.approx(truth(hours), abs=0.02)
        assert plain > truth(hours) + 0.03, "without the correction the curve would be wrong"


def test_completeness_is_the_share_of_events_that_have_come() -> None:
    curve = lag_curve(young(1), [float(hour) for hour in range(1, 169)])
    ages = [{"age": hour + 0.5, "displays": 10.0} for hour in range(24)]
    expected = np.mean([truth(hour) for hour in range(24)])
    assert completeness(curve, ages) == pytest.approx(expected, abs=0.03)
    assert np.isnan(completeness(curve, []))
    assert np.isnan(completeness(lag_curve([], DAYS), ages))
