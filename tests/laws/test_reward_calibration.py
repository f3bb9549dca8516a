"""Held-out rows mend a slope that is plainly wrong and leave one alone that chance explains."""

import numpy as np

from model.reward.calibration import comparison_slope, fit_calibration, level_shift


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def clicked(true: float, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(log-odds (n,) of deviation 0.5 around -3, events at `true` times their distance from it)."""
    rng = np.random.default_rng(seed)
    z = -3 + 0.5 * rng.normal(size=rows)
    return z, (rng.random(rows) < sigmoid(-3 + true * (z + 3))).astype(float)


def slope(z: np.ndarray, events: np.ndarray, group: np.ndarray | None = None) -> float:
    each = np.arange(len(z)) if group is None else group
    return fit_calibration(z, events, np.ones(len(z)), 1.0, each).slope


def test_the_slope_of_calibrated_log_odds_mostly_stays_1() -> None:
    """Some 300 events: their own slope has a standard error of 0.11."""
    found = np.array([slope(*clicked(1.0, 6_000, seed)) for seed in range(60)])
    assert (found == 1).mean() > 0.5
    assert np.sqrt(np.mean((found - 1) ** 2)) < 0.06


def test_a_slope_that_is_plainly_wrong_is_mended() -> None:
    for true in (0.5, 1.6):
        found = np.mean([slope(*clicked(true, 40_000, seed)) for seed in range(5)])
        assert abs(found - true) < 0.15
        assert abs(found - 1) < abs(true - 1)


def test_rows_that_depend_on_each_other_say_less() -> None:
    """Sixteen copies of each row are the evidence of one, once they are known to be a group."""
    z, events = clicked(0.8, 6_000, 3)
    copies = np.repeat(np.arange(len(z)), 16)
    alone = slope(z[copies], events[copies])
    together = slope(z[copies], events[copies], copies)
    assert abs(together - 1) < abs(alone - 1)


def test_the_level_expects_as_many_events_as_were_counted() -> None:
    z, events = clicked(1.0, 5_000, 4)
    told = level_shift(z + 1.3, events, np.ones(len(z)), 0.9)
    assert abs(sigmoid(told.slope * (z + 1.3) + told.shift).sum() / events.sum() - 1) < 1e-6


def test_levels_of_unknown_groups_do_not_pass_for_the_slope_of_elements() -> None:
    """Groups of high levels show what predicts more, which within a group is as steep as it says."""
    rng = np.random.default_rng(5)
    group, within = np.repeat(np.arange(800), 5), 0.2 * rng.normal(size=4_000)
    theme = 0.2 * rng.normal(size=800)
    z = -3 + within + theme[group]
    for true in (1.0, 0.4):
        odds = -3 + true * within + (4 * theme + 0.3 * rng.normal(size=800))[group]
        trials = np.full(4_000, 1_000.0)
        events = rng.binomial(1_000, sigmoid(odds)).astype(float)
        pooled = fit_calibration(z, events, trials, 2.0, group).slope
        found = comparison_slope(z, events, trials, 2.0, group)
        assert pooled > 1.5
        assert abs(found - true) < 0.15
    assert comparison_slope(z, 0 * events, trials, 2.0, group) == 1
    assert comparison_slope(z, events, trials, 2.0, np.arange(4_000)) == 1
