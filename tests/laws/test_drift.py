"""Drift: equal days rarely alarm, heavy users do not, planted drift does."""

import math

import numpy as np
import pytest

from validation.drift.effects import jensen_shannon, psi, wasserstein
from validation.drift.fields import Shown, binned, field_drifts

RNG = np.random.default_rng


def test_equal_counts_lie_nowhere_apart_and_disjoint_ones_as_far_as_can_be() -> None:
    one, other = np.array([30.0, 0.0]), np.array([0.0, 500.0])
    assert jensen_shannon(one, other) == pytest.approx(1.0)
    assert jensen_shannon(one, one * 7) == pytest.approx(0.0, abs=1e-7)
    assert psi(one * 1e6, one * 7e6) == pytest.approx(0.0, abs=1e-6)
    assert psi(one, other) > 5


def test_wasserstein_is_the_distance_moved_in_native_units() -> None:
    values = np.array([0.0, 10.0, 30.0])
    moved = wasserstein(np.array([4.0, 0.0, 0.0]), np.array([2.0, 0.0, 2.0]), values)
    assert moved == pytest.approx(15.0)


def test_effects_keep_leading_axes() -> None:
    counts = RNG(0).integers(1, 9, (5, 4)).astype(float)
    whole = psi(counts, counts[::-1])
    assert whole.shape == (5,)
    assert whole[1] == pytest.approx(float(psi(counts[1], counts[3])))


def day(seed: int, heavy: bool = False, moved: float = 0.0, shared: bool = False) -> Shown:
    """Two days of 400 users; a user keeps to one device; `moved` of today's go to device 0."""
    rng = RNG(seed)
    users = 400
    sizes = rng.poisson(3, 2 * users) + 1
    if heavy:
        sizes = np.where(rng.random(2 * users) < 0.02, sizes * 40, sizes)
    own = rng.integers(0, 4, 2 * users)
    own = np.where((rng.random(2 * users) < moved) & (np.arange(2 * users) < users), 0, own)
    row = np.repeat(np.arange(2 * users), sizes)
    today = row < users
    codes = own[row]
    hours = (codes * 2 + rng.normal(0, 1, len(row))).astype(float)
    user = row % users if shared else row
    return Shown(user, today, {"device": codes}, {"score": hours}, np.ones(len(row)))


def alarms(**world: bool) -> tuple[float, float]:
    """Shares of 100 equal pairs of days beyond chance: PSI of device, distance of score."""
    found = [field_drifts(day(seed, **world), 100, RNG(seed + 1_000)) for seed in range(100)]
    device = [one[0].psi > one[0].psi_null for one in found]
    score = [one[1].distance > one[1].distance_null for one in found]
    return float(np.mean(device)), float(np.mean(score))


@pytest.mark.parametrize("heavy", [False, True])
def test_equal_days_are_beyond_chance_one_time_in_twenty_however_heavy_the_users(heavy) -> None:
    for share in alarms(heavy=heavy):
        assert share <= 0.12  # 5 % of 100, and three standard errors


def test_permuting_rows_would_call_heavy_users_drift() -> None:
    found = []
    for seed in range(40):
        rows = day(seed, heavy=True)
        alone = Shown(np.arange(len(rows.user)), rows.today, rows.categorical, {}, rows.weight)
        (one,) = field_drifts(alone, 100, RNG(seed))
        found.append(one.psi > one.psi_null)
    assert np.mean(found) > 0.5


@pytest.mark.parametrize("shared", [False, True])
def test_planted_drift_is_beyond_chance_in_every_world(shared: bool) -> None:
    for seed in range(10):
        device, score = field_drifts(day(seed, moved=0.4, shared=shared), 100, RNG(seed))
        assert device.beyond(0.1)
        assert not device.by_chance
        assert score.distance > score.distance_null


def test_the_same_draws_give_the_same_band() -> None:
    once, again = (str(field_drifts(day(1), 50, RNG(3))) for _ in range(2))
    assert once == again


def test_without_earlier_rows_drift_is_not_a_number() -> None:
    rows = day(1)
    only = rows.today
    alone = Shown(
        rows.user[only], only[only], {"device": rows.categorical["device"][only]}, {},
        rows.weight[only],
    )  # fmt: skip
    assert math.isnan(field_drifts(alone, 10, RNG(0))[0].psi)


def test_bins_rise_and_missing_values_have_their_own() -> None:
    codes, values = binned(np.array([np.nan, *RNG(0).normal(size=500)]))
    assert codes[0] == 0
    assert (np.diff(values) >= 0).all()
    assert codes.max() < len(values)
