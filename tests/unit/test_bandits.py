"""The bandit baselines do what their papers say, on a shop whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from examples.loop.belief import Belief, summed
from examples.loop.features import Design, counted
from examples.loop.linear import DRAWS, ElementThompson, LinUCB
from examples.loop.pairs import MVT, Terms
from examples.loop.play import first_day
from examples.loop.rates import CombinationThompson, ElementRates, Uniform
from examples.loop.world import ONE_HOT, World

BANDITS = (Uniform, ElementRates, CombinationThompson, LinUCB, ElementThompson, MVT)


@pytest.fixture(scope="module")
def world():
    return World.create(4, 4)


@pytest.fixture(scope="module")
def start(world):
    return first_day(world, 6000)


@pytest.mark.parametrize("kind", BANDITS)
def test_a_bandit_shows_only_what_is_legal(world, start, kind):
    bandit = kind(world)
    bandit.learn(start)
    requests = world.requests(1, 500)
    place, _ = bandit.choose(requests, np.random.default_rng(0))
    sizes = np.array([len(rows) for rows in world.legal])[requests.product]
    assert ((place >= 0) & (place < sizes)).all()


@pytest.mark.parametrize("kind", BANDITS[1:])
def test_a_bandit_that_saw_the_best_combinations_clicked_shows_them_more(world, start, kind):
    bandit = kind(world)
    bandit.learn(start)
    sure = replace(start, clicked=start.value > np.quantile(start.value, 0.8))
    for _ in range(3):
        bandit.learn(sure)
    requests = world.requests(1, 2000)
    rng = np.random.default_rng(0)
    shown = world.show(requests, *bandit.choose(requests, rng))
    even = world.show(requests, *Uniform(world).choose(requests, rng))
    assert shown.value.mean() > 1.1 * even.value.mean()


def test_the_element_rates_policy_explores_by_its_share_and_says_so(world, start):
    bandit = ElementRates(world, explore=0.2)
    bandit.learn(start)
    requests = world.requests(1, 20_000)
    place, propensity = bandit.choose(requests, np.random.default_rng(0))
    best = np.array([bandit._best(p) for p in range(4)])[requests.product]
    assert abs((place == best).mean() - 0.8) < 0.03
    sizes = np.array([len(rows) for rows in world.legal])[requests.product]
    np.testing.assert_allclose(propensity, 0.2 / sizes + 0.8 * (place == best))


def test_a_linear_belief_is_the_ridge_posterior():
    rng = np.random.default_rng(0)
    x, y, deviation = rng.normal(size=(200, 3)), rng.normal(size=200), np.array([1.0, 0.5, 2.0])
    prior = Belief.prior(deviation)
    after = prior.after(lambda w: (x.T @ (y - x @ w), x.T @ x), 1)
    precision = np.diag(deviation**-2.0) + x.T @ x
    np.testing.assert_allclose(after.precision, precision)
    np.testing.assert_allclose(after.mean, np.linalg.solve(precision, x.T @ y))
    halves = prior
    for part in (slice(0, 100), slice(100, 200)):
        a, b = x[part], y[part]
        halves = halves.after(lambda w, a=a, b=b: (a.T @ (b - a @ w), a.T @ a), 1)
    np.testing.assert_allclose(halves.mean, after.mean)


def test_draws_of_a_belief_have_its_mean_and_covariance():
    precision = np.array([[4.0, 1.0], [1.0, 2.0]])
    drawn = Belief(np.array([1.0, -1.0]), precision).drawn(200_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), [1.0, -1.0], atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), np.linalg.inv(precision), atol=0.01)


def test_sums_over_pairs_of_lines_are_the_weighted_gram_matrix():
    rng = np.random.default_rng(1)
    lines, weight = np.stack([rng.permutation(6)[:3] for _ in range(50)]), rng.random(50)
    marked = np.zeros((50, 6))
    np.put_along_axis(marked, lines, 1.0, axis=1)
    np.testing.assert_allclose(summed(lines, weight, 6), marked.T @ (weight[:, None] * marked))


def test_counts_keep_every_display_and_click(world, start):
    days = counted(world, start)
    assert sum(day.displays.sum() for day in days) == len(start.place)
    assert sum(day.clicks.sum() for day in days) == start.clicked.sum()


def test_the_bound_of_linucb_is_mean_plus_deviations(world, start):
    bandit = LinUCB(world, alpha=0.7)
    bandit.learn(start)
    cover = np.linalg.inv(bandit.belief.precision)
    product, cell = 1, 5
    facts, legal = bandit.design.facts[product], world.legal[product]
    lines = facts.lines(legal, np.full(len(legal), cell))
    x = np.zeros((len(legal), len(cover)))
    x[:, facts.column] = facts.part[lines].sum(1)
    bound = x @ bandit.belief.mean + 0.7 * np.sqrt(np.einsum("nd,de,ne->n", x, cover, x))
    assert bandit._best(product, cover)[cell] == bound.argmax()


def test_every_pair_and_crossed_term_has_its_own_column(world):
    facts = Design.of(world).facts[0]
    terms, legal = Terms.of(facts), world.legal[0]
    seen = np.unique(terms.lines(legal, np.arange(len(legal)) % len(ONE_HOT)))
    assert seen.min() == 0
    assert seen.max() < terms.size
    kept = terms.pair[terms.pair >= 0]
    assert sorted(kept.tolist()) == list(range(terms.pairs))


def test_mvt_shows_the_combination_that_its_draw_likes_best(world, start):
    bandit = MVT(world)
    bandit.learn(start)
    product = 2
    facts, terms, legal = bandit.design.facts[product], bandit.terms[product], world.legal[product]
    weights = bandit.shared.drawn(DRAWS, np.random.default_rng(0))
    found = bandit._best(product, weights, np.random.default_rng(1))
    extra = bandit.extra[product].drawn(DRAWS, np.random.default_rng(1))
    for cell in (0, 13):
        cells = np.full(len(legal), cell)
        shared = weights[3, facts.column] @ facts.part.T
        odds = shared[facts.lines(legal, cells)].sum(1) + extra[3][terms.lines(legal, cells)].sum(1)
        assert found[cell, 3] == odds.argmax()
