"""Laws of the intervals: they cover, they respect clusters, they are the same for the same seed."""

import numpy as np
import pytest

from model.evaluation.compare import compare
from model.evaluation.intervals import (
    MOST_CLUSTERS,
    Interval,
    bernstein_interval,
    bootstrap,
    grouped,
    linearised,
    percentile_interval,
    pivotal_interval,
    resamples,
    t_quantile,
)
from model.evaluation.logged import Logged
from model.evaluation.outcome import judge_outcome
from model.evaluation.scores import METRICS, Outcomes, score
from model.evaluation.totals import ratio, standard_estimators, tally

ARMS = 6
FIXED = np.random.default_rng(21)
LOG = 0.5 / ARMS + 0.5 * FIXED.dirichlet(np.full(ARMS, 2.0))
PI = FIXED.dirichlet(np.full(ARMS, 2.0))
TASTES = np.linspace(-1.5, 1.5, 7)


def true_rates() -> np.ndarray:
    """(taste, arm) click rates of users of seven equally common tastes."""
    effect = np.linspace(-0.4, 0.4, ARMS)
    return 1 / (1 + np.exp(3.0 - TASTES[:, None] - effect))


def clustered_log(rng: np.random.Generator, users: int = 300) -> Logged:
    """Displays of users who differ much from each other and hardly within themselves."""
    times = rng.geometric(1 / 12, users)
    user = np.repeat(np.arange(users), times)
    taste, favourite = rng.integers(0, len(TASTES), users), rng.choice(ARMS, users, p=LOG)
    loyal = rng.random(len(user)) < 0.8
    arm = np.where(loyal, favourite[user], rng.choice(ARMS, len(user), p=LOG))
    rate = true_rates()[taste[user], arm]
    return Logged(
        reward=(rng.random(len(user)) < rate).astype(float),
        displays=np.ones(len(user)),
        propensity=LOG[arm],
        pi_challenger=PI[arm],
        cluster=user,
    )


def coverage(by_user: bool, worlds: int = 300) -> float:
    """Share of worlds whose SNIPS interval of the difference holds the truth."""
    truth = float(true_rates().mean(0) @ (PI - LOG))
    covered = 0
    for world in range(worlds):
        logged = clustered_log(np.random.default_rng(world))
        cluster = logged.cluster if by_user else np.arange(len(logged))
        chosen = standard_estimators(False, clips=())
        totals = tally(Logged(**(vars(logged) | {"cluster": cluster})), chosen)
        gap = compare(totals, draws=300, seed=world).estimates["snips"].difference
        covered += gap.low <= truth <= gap.high
    return covered / worlds


def test_intervals_over_clusters_cover_where_those_over_single_rows_fall_short():
    """300 worlds: 95 % +- 3.8 % is three standard errors of a right interval."""
    assert 0.912 <= coverage(by_user=True) <= 0.988
    assert coverage(by_user=False, worlds=100) < 0.88


def test_bernstein_is_wider_than_the_bootstrap_and_holds_the_same_value():
    found = judge_outcome(clustered_log(np.random.default_rng(0)), "clicks", draws=300)
    one = found.estimates["snips"]
    assert one.bernstein.value == one.difference.value
    assert one.bernstein.low < one.difference.low < one.difference.high < one.bernstein.high


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly():
    totals = tally(clustered_log(np.random.default_rng(1)), standard_estimators(False))
    first, again = compare(totals, seed=4, draws=400), compare(totals, seed=4, draws=400)
    other = compare(totals, seed=5, draws=400)
    assert first == again
    assert first != other
    a, b = first.estimates["snips"].difference, other.estimates["snips"].difference
    assert b.low == pytest.approx(a.low, abs=0.2 * (a.high - a.low))


def test_both_policies_share_each_draw():
    """A difference of policies that agree on most rows varies less than either alone."""
    logged = clustered_log(np.random.default_rng(2))
    near = Logged(**(vars(logged) | {"pi_challenger": 0.9 * logged.propensity
                                     + 0.1 * logged.pi_challenger}))  # fmt: skip
    one = judge_outcome(near, "clicks", draws=400).estimates["snips"]
    alone = one.challenger.high - one.challenger.low
    assert one.difference.high - one.difference.low < 0.4 * alone


def test_every_draw_draws_as_many_clusters_as_there_are():
    chunks = list(resamples(700, 25, seed=0))
    assert sum(len(chunk) for chunk in chunks) == 25
    assert all((chunk.sum(1) == 700).all() for chunk in chunks)


def test_chunks_are_bounded_in_memory():
    first = next(resamples(3_000_000, 10, seed=0))
    assert first.shape == (1, 3_000_000)


def test_grouping_many_clusters_keeps_sums_and_the_width_of_the_interval():
    rng = np.random.default_rng(3)
    sums = np.stack([rng.normal(1, 1, 60_000), np.ones(60_000)], axis=1)
    groups = grouped(sums, seed=0)
    assert len(groups) == MOST_CLUSTERS
    np.testing.assert_allclose(groups.sum(0), sums.sum(0))
    drawn = bootstrap(sums, lambda s: ratio(s[:, 0], s[:, 1]), draws=400, seed=1)
    assert drawn.std() == pytest.approx(1 / np.sqrt(60_000), rel=0.15)


def test_fewer_than_two_clusters_give_no_bounds():
    drawn = np.zeros(50)
    assert percentile_interval(0.1, drawn, 1) == Interval(0.1, -np.inf, np.inf)
    assert linearised(0.1, np.array([0.0])).interval() == Interval(0.1, -np.inf, np.inf)
    assert bernstein_interval(0.1, np.array([0.0])) == Interval(0.1, -np.inf, np.inf)
    assert np.isnan(linearised(0.1, np.array([0.0])).probability_below(0))


def test_draws_that_are_undefined_count_as_beyond_either_bound():
    drawn = np.where(np.arange(1000) < 100, np.nan, np.linspace(0, 1, 1000))
    found = percentile_interval(0.5, drawn, 500)
    assert (found.low, found.high) == (-np.inf, np.inf)
    few = np.where(np.arange(1000) < 5, np.nan, np.linspace(0, 1, 1000))
    found = percentile_interval(0.5, few, 500)
    assert 0.0 < found.low < 0.05
    assert 0.95 < found.high < 1.0


def test_the_skewness_correction_errs_alike_on_both_sides():
    """Rare large values: a plain t misses low far more often; 3,000 worlds of 400 clusters."""
    rng, below, above = np.random.default_rng(9), 0, 0
    for _ in range(3000):
        drawn = rng.binomial(1, 0.05, 400) * rng.exponential(1.0, 400)
        value = float(drawn.mean())
        found = linearised(value, (drawn - value) / 400).interval()
        below += found.high < 0.05
        above += found.low > 0.05
    assert 0.01 <= below / 3000 <= 0.05
    assert 0.01 <= above / 3000 <= 0.05


def test_the_p_value_at_a_bound_is_the_tail_that_the_bound_leaves():
    rng = np.random.default_rng(3)
    drawn = rng.binomial(1, 0.05, 20_000) * rng.exponential(1.0, 20_000)
    found = linearised(float(drawn.mean()), (drawn - drawn.mean()) / len(drawn))
    bounds = found.interval(0.95)
    assert found.skew > 0.005
    assert found.probability_below(bounds.high) == pytest.approx(0.025, abs=1e-5)
    assert found.probability_below(bounds.low) == pytest.approx(0.975, abs=1e-5)


@pytest.mark.parametrize(
    ("freedom", "published"), [(1, 12.706), (2, 4.303), (5, 2.571), (30, 2.042), (10_000, 1.960)]
)
def test_t_quantiles_equal_the_published_table(freedom, published):
    assert t_quantile(0.975, freedom) == pytest.approx(published, abs=2e-3)


def test_a_pivotal_interval_never_leaves_its_floor():
    drawn = np.abs(np.random.default_rng(0).normal(0.02, 0.01, 500))
    found = pivotal_interval(0.012, drawn, 300, floor=0.0)
    assert 0 <= found.low <= found.value <= found.high


def shop(rng: np.random.Generator, users: int | None) -> tuple[Outcomes, np.ndarray, np.ndarray]:
    """Counts of 60 products whose appeal hides the element's effect; true and blurred rates."""
    product = np.repeat(np.arange(60), 25)
    displays = rng.integers(1, 15, len(product)).astype(float)
    appeal = np.random.default_rng(1).normal(0, 1.0, 60)[product]
    rate = 1 / (1 + np.exp(3.0 - appeal - rng.normal(0, 0.6, len(product))))
    clicks = rng.binomial(displays.astype(int), rate).astype(float)
    cluster = product if users is None else rng.integers(0, users, len(product))
    blurred = rate * np.exp(rng.normal(0, 0.3, len(product)))
    return Outcomes(clicks, displays, product, cluster), rate, np.minimum(blurred, 1.0)


def brute_auc(outcomes: Outcomes, scores: np.ndarray) -> float:
    won = pairs = 0.0
    for product in np.unique(outcomes.product):
        rows = outcomes.product == product
        clicked, unclicked = outcomes.clicks[rows], (outcomes.displays - outcomes.clicks)[rows]
        above = scores[rows][:, None] > scores[rows][None, :]
        tied = scores[rows][:, None] == scores[rows][None, :]
        weight = clicked[:, None] * unclicked[None, :]
        won += (weight * (above + tied / 2)).sum()
        pairs += weight.sum()
    return won / pairs


def test_auc_equals_counting_every_pair_within_its_product():
    outcomes, rate, _ = shop(np.random.default_rng(0), users=40)
    rounded = np.round(rate, 2)
    found = score(outcomes, rounded, draws=20)
    assert found.challenger["auc"].value == pytest.approx(brute_auc(outcomes, rounded), abs=1e-12)


def test_product_appeal_alone_orders_nothing_within_a_product():
    outcomes, _, _ = shop(np.random.default_rng(0), users=None)
    appeal = np.random.default_rng(1).normal(0, 1.0, 60)[outcomes.product]
    found = score(outcomes, 1 / (1 + np.exp(3.0 - appeal)), draws=50)
    assert (found.challenger["auc"].low, found.challenger["auc"].high) == (0.5, 0.5)


@pytest.mark.parametrize("users", [None, 80])
def test_auc_intervals_are_as_wide_as_auc_varies(users):
    """Clusters that are products, and users who cross products; 80 worlds, a fifth off at most."""
    found, widths = [], []
    for world in range(80):
        outcomes, rate, _ = shop(np.random.default_rng(world), users)
        one = score(outcomes, rate, draws=150, seed=world).challenger["auc"]
        found.append(one.value)
        widths.append((one.high - one.low) / 3.92)
    assert np.mean(widths) == pytest.approx(np.std(found), rel=0.25)


def test_counts_score_as_their_single_rows():
    outcomes, rate, other = shop(np.random.default_rng(4), users=30)
    times = outcomes.displays.astype(int)
    rows = np.repeat(np.arange(len(times)), times)
    nth = np.concatenate([np.arange(n) for n in times])
    single = Outcomes(
        (nth < outcomes.clicks[rows]).astype(float),
        np.ones(len(rows)),
        outcomes.product[rows],
        outcomes.cluster[rows],
    )
    a = score(outcomes, rate, other, draws=30)
    b = score(single, rate[rows], other[rows], draws=30)
    for name in ("log_loss", "auc", "calibration_ratio"):
        assert vars(a.difference[name]) == pytest.approx(vars(b.difference[name]), abs=1e-9), name


def test_the_truth_beats_a_blurred_prediction_on_the_same_rows():
    outcomes, rate, blurred = shop(np.random.default_rng(6), users=None)
    found = score(outcomes, rate, blurred, draws=300)
    assert found.difference["log_loss"].high < 0
    assert found.difference["auc"].low > 0
    assert (
        found.challenger["calibration_slope"].low < 1 < found.challenger["calibration_slope"].high
    )


def test_a_prediction_that_is_thirty_percent_off_shows_in_calibration():
    outcomes, rate, _ = shop(np.random.default_rng(7), users=None)
    found = score(outcomes, np.minimum(1.3 * rate, 1), rate, draws=300)
    assert found.challenger["calibration_ratio"].value == pytest.approx(1 / 1.3, abs=0.08)
    assert found.difference["calibration_error"].low > 0.1
    right = found.champion["calibration_error"]
    assert right.low < 0.06


def test_scoring_without_a_champion_compares_nothing_and_a_champion_with_itself_is_even():
    outcomes, rate, _ = shop(np.random.default_rng(8), users=20)
    alone = score(outcomes, rate, draws=20)
    assert alone.champion is None
    assert alone.difference is None
    twice = score(outcomes, rate, rate, draws=20)
    assert set(twice.difference) == set(METRICS)
    assert all((one.low, one.high) == (0, 0) for one in twice.difference.values())


def test_no_clicks_leave_auc_undefined_and_say_so_by_no_pairs():
    outcomes, rate, _ = shop(np.random.default_rng(8), users=20)
    silent = Outcomes(
        np.zeros_like(outcomes.clicks), outcomes.displays, outcomes.product, outcomes.cluster
    )
    found = score(silent, rate, draws=20)
    assert (found.events, found.pairs) == (0, 0)
    assert np.isnan(found.challenger["auc"].value)


def test_predictions_that_are_no_probabilities_are_refused():
    outcomes, rate, _ = shop(np.random.default_rng(8), users=20)
    with pytest.raises(ValueError, match="outside"):
        score(outcomes, rate + 1)
    with pytest.raises(ValueError, match="found 3 predictions"):
        score(outcomes, rate[:3])
