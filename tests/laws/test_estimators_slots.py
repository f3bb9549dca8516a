"""Laws of the estimators that ask the log for elements instead of whole combinations."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluation.estimators.pseudo_inverse import pseudo_inverse, slot_mean_weight
from model.evaluation.estimators.shrunk_dr import shrunk_dr
from model.evaluation.estimators.slot_doubly_robust import slot_doubly_robust
from model.evaluation.logged import Logged, Seen
from model.evaluation.outcome import judge_outcome
from model.evaluation.overlap import slot_overlap
from model.evaluation.slices import Least, slice_differences
from model.evaluation.slots import (
    Reference,
    independent_weights,
    leaning_reference,
    pseudo_inverse_weights,
    uniform_reference,
)
from model.evaluation.totals import standard_estimators, tally

OPTIONS = (4, 3, 3)
EVERY = np.array(list(product(*(range(k) for k in OPTIONS))))
# Pairs that rules forbid, and one slot that may stay empty only beside a certain element.
LEGAL = EVERY[
    ~((EVERY[:, 0] == 1) & (EVERY[:, 1] == 2))
    & ~((EVERY[:, 0] == 3) & (EVERY[:, 2] == 1))
    & ~((EVERY[:, 2] == 0) & (EVERY[:, 1] != 1))
    & (EVERY[:, 0] > 0)
]


def worlds(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mu, pi, additive reward) over LEGAL, mu neither uniform nor of independent slots."""
    rng = np.random.default_rng(seed)
    mu = 0.3 / len(LEGAL) + 0.7 * rng.dirichlet(np.full(len(LEGAL), 0.5))
    pi = rng.dirichlet(np.full(len(LEGAL), 0.3))
    effects = [rng.normal(0, 1, k) for k in OPTIONS]
    return mu, pi, np.sum([effects[s][LEGAL[:, s]] for s in range(3)], axis=0)


def shares_of(reference: Reference, pi: np.ndarray) -> np.ndarray:
    """(D,) exact q_pi."""
    place = LEGAL + reference.start
    size = sum(reference.options)
    return np.sum([np.bincount(column, pi, size) for column in place.T], axis=0)


def weights_of(reference: Reference, pi: np.ndarray, mu: np.ndarray) -> np.ndarray:
    shares = np.tile(shares_of(reference, pi), (len(LEGAL), 1))
    return pseudo_inverse_weights(reference, LEGAL, shares, mu)


def some_references(mu: np.ndarray, seed: int) -> dict[str, Reference]:
    rng = np.random.default_rng(seed)
    uniform = uniform_reference(LEGAL, OPTIONS)
    earlier = LEGAL[rng.choice(len(LEGAL), 300, p=mu)]
    return {
        "the log itself": Reference(LEGAL, mu, OPTIONS),
        "uniform": uniform,
        "leaning": leaning_reference(uniform, earlier, np.ones(300), 0.8),
    }


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_pseudo_inverse_is_unbiased_for_a_sum_over_slots_by_every_reference(seed):
    """Over all combinations, not sampled: E_mu[w r] = E_pi[r]."""
    mu, pi, reward = worlds(seed)
    for name, reference in some_references(mu, seed).items():
        weight = weights_of(reference, pi, mu)
        assert mu @ (weight * reward) == pytest.approx(float(pi @ reward), abs=1e-9), name
        assert mu @ weight == pytest.approx(1.0, abs=1e-9), name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_other_weight_that_is_unbiased_varies_less_than_that_of_the_log_itself(seed):
    mu, pi, _ = worlds(seed)
    moments = {
        name: mu @ weights_of(reference, pi, mu) ** 2
        for name, reference in some_references(mu, seed).items()
    }
    assert moments["the log itself"] == pytest.approx(min(moments.values()), rel=1e-9)
    assert moments["the log itself"] <= mu @ (pi / mu) ** 2 + 1e-9


def seen_over(mu: np.ndarray, weight: np.ndarray, reward: np.ndarray, **more) -> Seen:
    """Every combination once, with displays in proportion to mu."""
    return Seen(mu, mu * reward, np.ones(len(mu)), more.get("q"), more.get("q_policy"), weight)


def value(terms) -> float:
    return float(terms.numerator.sum() / terms.denominator.sum())


def test_an_interaction_biases_it_unless_the_reward_model_carries_the_interaction():
    mu, pi, additive = worlds(5)
    together = 2.0 * ((LEGAL[:, 0] == 2) & (LEGAL[:, 1] == 1))
    truth = float(pi @ (additive + together))
    weight = weights_of(uniform_reference(LEGAL, OPTIONS), pi, mu)
    alone = seen_over(mu, weight, additive + together)
    assert abs(value(pseudo_inverse(alone)) - truth) > 0.02
    for q in (together, 0.4 * additive + together, together - 3.0):
        expected = np.full(len(mu), float(pi @ q))
        carried = seen_over(mu, weight, additive + together, q=q, q_policy=expected)
        assert value(slot_doubly_robust(carried)) == pytest.approx(truth, abs=1e-9)


def test_draws_of_the_policy_stand_for_its_shares_as_the_weight_is_linear_in_them():
    mu, pi, _ = worlds(2)
    reference = uniform_reference(LEGAL, OPTIONS)
    drawn = LEGAL[np.random.default_rng(0).choice(len(LEGAL), (1, 50), p=pi)]
    shares = reference.shares(drawn)
    assert shares.sum() == pytest.approx(len(OPTIONS))
    one_by_one = [
        pseudo_inverse_weights(reference, LEGAL, np.tile(reference.shares(one[None, None]),
                               (len(LEGAL), 1)), mu)
        for one in drawn[0]
    ]  # fmt: skip
    together = pseudo_inverse_weights(reference, LEGAL, np.tile(shares, (len(LEGAL), 1)), mu)
    np.testing.assert_allclose(together, np.mean(one_by_one, axis=0), atol=1e-9)


def test_independent_slots_equal_the_pseudo_inverse_where_slots_are_independent_only():
    slots = [np.random.default_rng(s).dirichlet(np.ones(k)) for s, k in enumerate(OPTIONS)]
    mu = np.prod([slots[s][EVERY[:, s]] for s in range(3)], axis=0)
    free = Reference(EVERY, mu, OPTIONS)
    pi = np.random.default_rng(9).dirichlet(np.ones(len(EVERY)))
    drawn = EVERY[np.random.default_rng(1).choice(len(EVERY), (len(EVERY), 7), p=pi)]
    shares = free.shares(drawn)
    np.testing.assert_allclose(
        independent_weights(free, EVERY, shares, mu),
        pseudo_inverse_weights(free, EVERY, shares, mu),
        atol=1e-9,
    )
    tied, log = uniform_reference(LEGAL, OPTIONS), np.full(len(LEGAL), 1 / len(LEGAL))
    legal = np.tile(shares_of(tied, worlds(0)[1]), (len(LEGAL), 1))
    apart = independent_weights(tied, LEGAL, legal, log) - pseudo_inverse_weights(
        tied, LEGAL, legal, log
    )
    assert np.abs(apart).max() > 0.05


def test_a_table_of_two_slots_worked_by_hand():
    """Uniform over 2 x 2; q = (1, 0 | 1/2, 1/2). Independent slots: w = 1 + (2 q_1 - 1) + 0."""
    combinations = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    reference = uniform_reference(combinations, (2, 2))
    np.testing.assert_allclose(
        reference.gram,
        [[0.5, 0, 0.25, 0.25], [0, 0.5, 0.25, 0.25], [0.25, 0.25, 0.5, 0], [0.25, 0.25, 0, 0.5]],
    )
    shares = np.tile([1.0, 0.0, 0.5, 0.5], (4, 1))
    found = pseudo_inverse_weights(reference, combinations, shares, np.full(4, 0.25))
    np.testing.assert_allclose(found, [2, 2, 0, 0], atol=1e-12)
    seen = Seen(np.ones(4), np.array([1.0, 0, 1, 1]), np.ones(4), None, None, found)
    assert value(pseudo_inverse(seen)) == pytest.approx((2 * 1 + 2 * 0) / 4)


def test_a_uniform_policy_on_a_uniform_log_gives_every_estimator_the_mean():
    rng = np.random.default_rng(3)
    reference, even = uniform_reference(LEGAL, OPTIONS), np.full(len(LEGAL), 1 / len(LEGAL))
    row = rng.integers(0, len(LEGAL), 500)
    weight = weights_of(reference, even, even)[row]
    reward = (rng.random(500) < 0.2).astype(float)
    mean = np.full(500, reward.mean())
    logged = Logged(
        reward=reward,
        displays=np.ones(500),
        propensity=even[row],
        pi_challenger=even[row],
        cluster=rng.integers(0, 40, 500),
        q_logged=mean,
        q_challenger=mean,
        slot_challenger=weight,
        independent_challenger=np.ones(500),
    )
    totals = tally(logged, standard_estimators(True, slots=True))
    for name, (found, _) in zip(totals.estimators, totals.values(), strict=True):
        expected = 1.0 if name.endswith("mean_weight") else reward.mean()
        assert found == pytest.approx(expected, abs=1e-9), name


def test_a_log_without_some_of_the_reference_shows_in_the_mean_weight():
    mu, pi, _ = worlds(4)
    lost = LEGAL[:, 0] == 2
    cut = np.where(lost, 0.0, mu) / mu[~lost].sum()
    weight = weights_of(uniform_reference(LEGAL, OPTIONS), pi, np.maximum(cut, 1e-300))
    missing = float(pi[lost].sum())
    found = value(slot_mean_weight(seen_over(cut, np.where(lost, 0.0, weight), cut)))
    assert missing > 0.05
    assert abs(found - 1) > 0.05


def test_shrinking_by_nothing_is_doubly_robust_and_by_all_the_direct_method():
    rng = np.random.default_rng(0)
    displays, weight = np.ones(200), rng.exponential(3, 200)
    q, q_policy = rng.uniform(0, 1, (2, 200))
    seen = Seen(displays, rng.integers(0, 2, 200).astype(float), weight, q, q_policy)
    residual = seen.reward - q
    by = {shrink: value(shrunk_dr(seen, shrink)) for shrink in (0.0, 1e-15, 1e15, np.inf)}
    assert by[0.0] == pytest.approx(q_policy.mean(), abs=1e-12)
    assert by[1e-15] == pytest.approx(q_policy.mean(), abs=1e-9)
    assert by[1e15] == pytest.approx((q_policy + weight * residual).mean(), abs=1e-9)
    assert by[np.inf] == pytest.approx((q_policy + weight * residual).mean(), abs=1e-12)
    moved = shrunk_dr(seen, 25.0).numerator - q_policy
    assert np.abs(moved / np.where(residual == 0, 1, residual)).max() <= np.sqrt(25.0) / 2 + 1e-12


def sampled(seed: int, rows: int = 3000, interaction: float = 0.0) -> tuple[Logged, float]:
    """A log of clicks, and the true difference to the log."""
    rng = np.random.default_rng(seed)
    mu, pi, additive = worlds(11)
    rate = 0.08 + 0.03 * np.tanh(additive)
    effects = np.linalg.lstsq(_indicators(), rate, rcond=None)[0]
    rate = np.clip(_indicators() @ effects, 0.01, 0.9)
    rate = rate + interaction * ((LEGAL[:, 0] == 2) & (LEGAL[:, 1] == 1))
    row = rng.choice(len(LEGAL), rows, p=mu)
    weight = weights_of(uniform_reference(LEGAL, OPTIONS), pi, mu)
    guess = np.full(len(LEGAL), float(mu @ rate))
    return Logged(
        reward=(rng.random(rows) < rate[row]).astype(float),
        displays=np.ones(rows),
        propensity=mu[row],
        pi_challenger=pi[row],
        cluster=rng.integers(0, rows // 3, rows),
        q_logged=guess[row],
        q_challenger=np.full(rows, float(pi @ guess)),
        slot_challenger=weight[row],
        independent_challenger=weight[row],
    ), float((pi - mu) @ rate)


def _indicators() -> np.ndarray:
    place = LEGAL + np.array([0, 4, 7])
    found = np.zeros((len(LEGAL), sum(OPTIONS)))
    found[np.arange(len(LEGAL))[:, None], place] = 1
    return found


def test_slot_intervals_cover_the_known_difference_as_often_as_they_say():
    """Of 80 at 95 %, fewer than 70 that hold are beyond chance."""
    held = {"pi": 0, "pi_dr": 0}
    for seed in range(80):
        logged, truth = sampled(seed)
        found = judge_outcome(logged, "clicks", draws=200, seed=seed).estimates
        for name in held:
            held[name] += found[name].difference.low <= truth <= found[name].difference.high
    assert min(held.values()) >= 70, held


def test_rows_without_a_slot_weight_leave_slot_estimates_of_both_policies_alike():
    logged, _ = sampled(0)
    some = np.where(np.arange(len(logged)) % 3 == 0, np.nan, logged.slot_challenger)
    part = replace(logged, slot_challenger=some)
    kept = logged.take(np.isfinite(some))
    a, b = (judge_outcome(one, "clicks", draws=50) for one in (part, kept))
    for name in ("pi", "pi_dr", "pi_mean_weight"):
        assert a.estimates[name].challenger.value == pytest.approx(
            b.estimates[name].challenger.value, abs=1e-12
        )
        assert a.estimates[name].incumbent.value == pytest.approx(
            b.estimates[name].incumbent.value, abs=1e-12
        )
    assert a.slot_health.known_share == pytest.approx(2 / 3, abs=1e-3)
    assert a.slot_health.effective_sample == pytest.approx(b.slot_health.effective_sample)


def test_slots_without_a_single_weight_have_no_estimate_and_no_effective_sample():
    logged, _ = sampled(0)
    blind = replace(logged, slot_challenger=np.full(len(logged), np.nan))
    found = judge_outcome(blind, "clicks", draws=20)
    assert np.isnan(found.estimates["pi"].difference.value)
    assert found.slot_health.known_share == 0
    assert np.isnan(found.slot_health.effective_sample)
    unlogged = replace(logged, propensity=np.full(len(logged), np.nan))
    assert judge_outcome(unlogged, "clicks", draws=20).slot_health.known_share == 0


def test_weights_that_sum_to_nothing_or_less_have_no_effective_sample():
    logged, _ = sampled(0)
    against = replace(logged, slot_challenger=-np.abs(logged.slot_challenger))
    health = slot_overlap(against).health()
    assert health.effective_sample == 0
    assert np.isnan(health.largest_share)


def test_slices_by_slot_are_the_slot_estimates_of_their_rows():
    logged, _ = sampled(1)
    place = np.where(np.arange(len(logged)) % 2, "top", "side")
    (one, *_) = slice_differences(logged, {"at": place}, least=Least(1, 2, 1), by_slot=True)
    assert one.estimator == "pi_dr"
    alone = judge_outcome(logged.take(place == one.value), "clicks", draws=20)
    assert one.difference.value == pytest.approx(alone.estimates["pi_dr"].difference.value)


@pytest.mark.parametrize(
    "bad",
    [{"slot_challenger": np.full(3000, np.inf)}, {"slot_incumbent": np.ones(3000)},
     {"pi_incumbent": np.full(3000, 0.1), "q_incumbent": np.full(3000, 0.1)}],
)  # fmt: skip
def test_slot_weights_that_can_not_be_are_refused(bad):
    logged, _ = sampled(0)
    with pytest.raises(ValueError, match=r"Logged\.slot"):
        replace(logged, **bad)


def test_estimators_of_slots_without_weights_say_so():
    seen = Seen(np.ones(2), np.ones(2), np.ones(2), None, None)
    with pytest.raises(ValueError, match="no slot_weight"):
        pseudo_inverse(seen)


def test_a_reference_that_is_no_distribution_is_refused():
    with pytest.raises(ValueError, match="sum to"):
        Reference(LEGAL, np.full(len(LEGAL), 1.0), OPTIONS)
    with pytest.raises(ValueError, match="shape"):
        Reference(LEGAL[:, :2], np.full(len(LEGAL), 1 / len(LEGAL)), OPTIONS)
