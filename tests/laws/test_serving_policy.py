"""What is served, logged and published is one distribution, the same from every side."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_rules import shop_with, worlds
from tabular_reward import CONTEXT, bags_of, context_of, elements_of, row_of, shop_of
from untrained import untrained

from model.combinations import Forbidden, Rules, space_of
from model.serving import Mixture, ServingPolicy

MIX = Mixture(explore=0.1, uniform=0.05, temperature=0.02, candidates=6)


def policy_of(shop, rules=None, mixture=MIX, learned=True):
    generator = untrained(shop, 1) if learned else None
    return ServingPolicy(shop.truth, generator, shop.elements, rules or Rules(), mixture, CONTEXT)


def everything(policy, product, context):
    """(bags of every legal combination in one context, the distribution)."""
    shown = policy.distribution(product, context)
    space = space_of(product, policy.elements, policy.rules)
    rows = space.rows(space.enumerate())
    count = len(rows)
    columns = {
        "device": np.array([context["device"]] * count, object),
        "hour": np.full(count, context["hour"], float),
    }
    return bags_of(np.array([product] * count, object), rows, columns), shown


def named(elements, row):
    return {elements.slots[s]: str(elements.element_id[r]) for s, r in enumerate(row) if r >= 0}


def legal_products(shop, rules):
    for product in sorted(set(shop.elements.product_id.tolist())):
        try:
            space_of(product, shop.elements, rules)
        except ValueError:
            continue
        yield product


@settings(max_examples=50, deadline=None)
@given(worlds())
def test_probabilities_sum_to_one_and_propensities_are_their_entries(world):
    shop, rules = world
    for learned in (True, False):
        policy = policy_of(shop, rules, learned=learned)
        for product in legal_products(shop, rules):
            bags, shown = everything(policy, product, {"device": "desk", "hour": 7.0})
            assert shown.probability.sum() == pytest.approx(1.0, abs=1e-9)
            assert (shown.probability >= MIX.uniform / len(bags) * (1 - 1e-9)).all()
            np.testing.assert_allclose(policy.propensity(bags), shown.probability, rtol=1e-9)
            rows = [named(shop.elements, row) for row in bags.element]
            assert rows == shown.combinations


@settings(max_examples=30, deadline=None)
@given(worlds())
def test_a_combination_that_is_not_legal_has_propensity_zero(world):
    shop, rules = world
    rng = np.random.default_rng(0)
    names = sorted(set(shop.elements.product_id.tolist()))
    product = np.array(names, object)[rng.integers(len(names), size=60)]
    element = rng.integers(-1, len(shop.elements), (60, len(shop.elements.slots))).astype(np.int32)
    bags = bags_of(product, element, context_of(60, rng))
    found = policy_of(shop, rules).propensity(bags)
    legal = {
        (name, tuple(row))
        for name in legal_products(shop, rules)
        for space in [space_of(name, shop.elements, rules)]
        for row in space.rows(space.enumerate()).tolist()
    }
    expected = [(p, tuple(row)) in legal for p, row in zip(product, element.tolist(), strict=True)]
    assert (found > 0).tolist() == expected


@pytest.fixture(scope="module")
def shop():
    return shop_of(12, (2, 5), seed=6)


@pytest.fixture(scope="module")
def policy(shop):
    forbidden = (Forbidden(None, "title", "t00", "image", "i01"),)
    return policy_of(shop, Rules(forbidden=forbidden, optional=frozenset({"tag"})))


def test_a_propensity_is_the_same_alone_and_among_many_other_rows(shop, policy):
    bags = shop.bags(3000, seed=1)
    together = policy.propensity(bags)
    rows = np.random.default_rng(0).integers(len(bags), size=25)
    alone = [policy.propensity(bags.take(np.array([row])))[0] for row in rows]
    np.testing.assert_allclose(alone, together[rows], rtol=1e-9)
    for row in rows[:5]:
        context = {name: values[row] for name, values in bags.context.items()}
        shown = policy.distribution(bags.product_id[row], context)
        listed = [sorted(c.items()) for c in shown.combinations]
        asked = sorted(named(shop.elements, bags.element[row]).items())
        entry = shown.probability[listed.index(asked)] if asked in listed else 0.0
        assert together[row] == pytest.approx(entry, rel=1e-9)


def frequencies_agree(counts, probability, draws):
    slack = 5 * np.sqrt(probability * (1 - probability) / draws) + 2 / draws
    return bool((np.abs(counts / draws - probability) <= slack).all())


def test_choices_come_as_often_as_the_distribution_says_with_its_propensities(shop):
    policy = policy_of(
        shop, mixture=Mixture(explore=0.3, uniform=0.2, temperature=0.03, candidates=4)
    )
    context, rng, draws = {"device": "phone", "hour": 3.0}, np.random.default_rng(2), 1000
    shown = policy.distribution("p001", context)
    entry = {tuple(sorted(c.items())): at for at, c in enumerate(shown.combinations)}
    counts = np.zeros(len(entry))
    for _ in range(draws):
        combination, propensity = policy.choose("p001", context, rng)
        at = entry[tuple(sorted(combination.items()))]
        counts[at] += 1
        assert propensity == pytest.approx(shown.probability[at], rel=1e-9)
    assert frequencies_agree(counts, shown.probability, draws)


@pytest.mark.parametrize("shares", [(0.1, 0.05), (0.0, 0.6), (0.6, 0.0), (0.0, 0.0)])
def test_sampled_rows_come_as_often_as_the_distribution_says(shop, policy, shares):
    context, draws = {"device": "desk", "hour": 20.0}, 20_000
    mixture = replace(MIX, explore=shares[0], uniform=shares[1])
    policy = policy_of(shop, policy.rules, mixture)
    for product in ("p002", "p007"):
        bags, shown = everything(policy, product, context)
        rows = policy.sample(bags.take(np.zeros(4, np.int64)), draws // 4, np.random.default_rng(3))
        counted = Counter(map(tuple, rows.reshape(-1, rows.shape[2]).tolist()))
        listed = [tuple(row) for row in bags.element.tolist()]
        assert set(counted) <= set(listed)
        counts = np.array([counted[row] for row in listed])
        assert frequencies_agree(counts, shown.probability, draws)


def test_samples_of_many_requests_are_legal_and_have_a_propensity(shop, policy):
    bags = shop.bags(500, seed=8)
    rows = policy.sample(bags, 3, np.random.default_rng(1))
    for draw in range(3):
        shown = bags_of(bags.product_id, rows[:, draw], bags.context)
        assert (policy.propensity(shown) > 0).all()


def test_a_replay_is_the_propensity_and_the_sample_in_one_pass(shop, policy):
    bags = shop.bags(600, seed=9)
    chance, rows = policy.replay(bags, 3, np.random.default_rng(7))
    np.testing.assert_array_equal(chance, policy.propensity(bags))
    np.testing.assert_array_equal(rows, policy.sample(bags, 3, np.random.default_rng(7)))


@pytest.mark.parametrize("k", [1, 5, 40, 10_000])
@pytest.mark.parametrize("temperature", [0.1, 0.0005])
@pytest.mark.parametrize("learned", [True, False])
def test_the_top_is_the_head_of_the_sorted_distribution(shop, k, temperature, learned):
    mixture = Mixture(explore=0.3, uniform=0.01, temperature=temperature, candidates=8)
    policy = policy_of(shop, mixture=mixture, learned=learned)
    context = context_of(12, np.random.default_rng(4))
    names = sorted(set(shop.elements.product_id.tolist()))
    tops = policy.top(names, context, k)
    for at in range(0, 12, 3):
        one = {name: values[at] for name, values in context.items()}
        full = policy.distribution(names[at], one)
        order = np.argsort(-np.round(full.probability * 2**40), kind="stable")[:k]
        np.testing.assert_allclose(tops[at].probability, full.probability[order], rtol=1e-9)
        np.testing.assert_allclose(tops[at].predicted_reward, full.predicted_reward[order])
        assert tops[at].combinations == [full.combinations[i] for i in order]


def test_the_top_is_exact_where_a_narrow_beam_would_miss_it(shop):
    mixture = Mixture(explore=1, uniform=0, temperature=1, candidates=2)
    policy = ServingPolicy(
        shop.truth, untrained(shop, 1, loud=3.0), shop.elements, Rules(), mixture, CONTEXT
    )
    names = sorted(set(shop.elements.product_id.tolist())) * 4
    context = context_of(len(names), np.random.default_rng(5))
    missed = 0
    for at, best in enumerate(policy.top(names, context, 2)):
        one = {name: values[at] for name, values in context.items()}
        full = np.sort(policy.distribution(names[at], one).probability)[::-1]
        np.testing.assert_allclose(best.probability, full[:2], rtol=1e-9)
        missed += missed_by_beam(policy, names[at], one, full[:2])
    assert missed > 0  # else this test would say nothing


def missed_by_beam(policy, product, context, best):
    space = space_of(product, policy.elements, Rules())
    proposer = policy.generator.over(policy.elements, [space])
    cell = {name: np.array([value]) for name, value in context.items()}
    pieces = policy.reward.pieces([product], cell, policy.elements, proposer.lattice.rows[:1])
    beam = proposer.beam(proposer.asked(np.zeros(1, np.int64), cell, pieces), 2)
    return not np.allclose(beam.log_prob[0].exp().numpy(), best, rtol=1e-6)


def test_without_exploration_only_the_candidate_set_is_shown(shop):
    greedy = policy_of(shop, mixture=Mixture(explore=0, uniform=0, temperature=1e-4, candidates=8))
    shown = greedy.distribution("p003", {"device": "phone", "hour": 1.0})
    assert (shown.probability > 0).sum() <= 8
    best = shown.predicted_reward.argmax()
    assert shown.probability.argmax() == best
    assert shown.probability[best] > 0.5


def test_the_explored_share_is_the_generators_own_distribution(shop):
    context = {"device": "phone", "hour": 1.0}
    policy = policy_of(shop, mixture=Mixture(explore=1, uniform=0, temperature=1, candidates=8))
    space = space_of("p003", shop.elements, Rules())
    proposer = policy.generator.over(shop.elements, [space])
    cell = {"device": np.array(["phone"], object), "hour": np.array([1.0])}
    pieces = shop.truth.pieces(["p003"], cell, shop.elements, proposer.lattice.rows[:1])
    asked = proposer.asked(np.zeros(1, np.int64), cell, pieces)
    rows = torch.from_numpy(space.enumerate().astype(np.int64))[None]
    exact = proposer.log_prob(asked, torch.zeros(1, dtype=torch.int64), rows)[0].exp()
    shown = policy.distribution("p003", context)
    np.testing.assert_allclose(shown.probability, exact, rtol=1e-9)
    none = policy_of(shop, mixture=policy.mixture, learned=False)
    even = none.distribution("p003", context).probability
    np.testing.assert_allclose(even, 1 / len(even), rtol=1e-9)


def test_equal_elements_do_not_make_the_candidate_set_depend_on_the_batch(shop):
    """Copies have equal rewards; which of them is in K(x) must not be decided by noise."""
    alike = type(shop.truth)(
        -2.0, shop.truth.alone * 0, shop.truth.device * 0, shop.truth.together * 0, shop.truth.doubt
    )
    policy = ServingPolicy(alike, None, shop.elements, Rules(), MIX, CONTEXT)
    bags = shop.bags(400, seed=2)
    together = policy.propensity(bags)
    alone = [policy.propensity(bags.take(np.array([row])))[0] for row in range(20)]
    np.testing.assert_allclose(alone, together[:20], rtol=1e-9)


def test_products_too_large_to_list_are_served_from_beams():
    counts = {"huge": (40, 40, 40, 40), "small": (2, 2, 2, 2)}
    elements = elements_of(counts, ("title", "image", "highlight", "tag"), seed=1)
    shop = shop_with(elements, 3)
    policy = policy_of(shop, mixture=Mixture(temperature=0.01, explore=0.2, uniform=0.1))
    context, rng = {"device": "phone", "hour": 4.0}, np.random.default_rng(0)
    with pytest.raises(ValueError, match="2,560,000 legal combinations"):
        policy.distribution("huge", context)
    columns = {"device": np.array(["phone"] * 2, object), "hour": np.array([4.0, 4.0])}
    top = policy.top(["huge", "small"], columns, 5)
    assert [len(t.combinations) for t in top] == [5, 5]
    assert (np.diff(top[0].probability) <= 0).all()
    for _ in range(20):
        combination, propensity = policy.choose("huge", context, rng)
        one = {name: values[:1] for name, values in columns.items()}
        row = row_of(elements, "huge", combination)[None]
        bags = bags_of(np.array(["huge"], object), row, one)
        assert policy.propensity(bags)[0] == pytest.approx(propensity, rel=1e-9)


def test_what_nothing_is_legal_for_is_refused_but_has_propensity_zero(shop):
    policy = policy_of(shop, Rules({"p001": ({"title": "gone"},)}))
    with pytest.raises(ValueError, match="none of the 1 allowed combinations of product 'p001'"):
        policy.choose("p001", {"device": "phone", "hour": 1.0}, np.random.default_rng(0))
    bags = shop.bags(100, seed=5)
    found = policy.propensity(bags)
    assert (found[bags.product_id == "p001"] == 0).all()
    assert (found[bags.product_id != "p001"] > 0).all()


def test_a_context_value_never_seen_or_missing_is_served(policy):
    for context in ({"device": "watch", "hour": 5.0}, {}, {"device": None, "hour": None, "x": 1}):
        assert policy.distribution("p000", context).probability.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"temperature": 1.0, "explore": 0.7, "uniform": 0.7},
        {"temperature": 1.0, "explore": -0.1},
        {"temperature": 1.0, "candidates": 1},
        {"temperature": 1.0, "sampled": 0.97},
        {"temperature": 1.0, "sampled": -0.1},
        {"temperature": 1.0, "deviation": 0.0},
    ],
)
def test_a_mixture_that_is_no_distribution_is_refused(wrong):
    with pytest.raises(ValueError, match="mixture has"):
        Mixture(**wrong)


@pytest.mark.parametrize("learned", [True, False])
def test_many_choices_come_with_the_propensities_that_others_would_work_out(learned):
    shop = shop_of(5, (2, 4), seed=5, slots=3)
    policy, rng = policy_of(shop, learned=learned), np.random.default_rng(0)
    names = rng.choice(sorted(set(shop.elements.product_id.tolist())), 60).tolist()
    contexts = [
        {"device": ("desk", "phone", None)[n % 3], "hour": float(n % 24)} for n in range(60)
    ]
    combinations, chance = policy.choose_many(names, contexts, rng)
    shown = zip(names, combinations, strict=True)
    rows = np.stack([row_of(shop.elements, name, combination) for name, combination in shown])
    columns = {
        "device": np.array([c["device"] or "" for c in contexts], object),
        "hour": np.array([c["hour"] for c in contexts]),
    }
    fresh = policy_of(shop, learned=learned)  # remembers no product
    told = fresh.propensity(bags_of(np.array(names, object), rows, columns))
    np.testing.assert_allclose(chance, told, rtol=1e-12)
    assert (chance > 0).all()


def test_many_choices_come_as_often_as_the_distribution_says():
    shop = shop_of(2, (2, 3), seed=4, slots=3)
    policy, rng = policy_of(shop), np.random.default_rng(1)
    names, context = sorted(set(shop.elements.product_id.tolist())), {"device": "desk", "hour": 7.0}
    size = 4000
    asked = [names[n % 2] for n in range(2 * size)]
    combinations, _ = policy.choose_many(asked, [context] * len(asked), rng)
    for place, name in enumerate(names):
        shown = policy.distribution(name, context)
        seen = Counter(tuple(sorted(c.items())) for c in combinations[place::2])
        counts = [seen[tuple(sorted(c.items()))] for c in shown.combinations]
        expected = size * shown.probability
        statistic = float((np.square(counts - expected) / expected).sum())
        freedom = len(expected) - 1
        assert statistic < freedom + 5 * (2 * freedom) ** 0.5  # some five deviations of chi-square


def test_products_beyond_memory_are_chosen_as_those_within():
    shop = shop_of(4, (2, 3), seed=6)
    names = sorted(set(shop.elements.product_id.tolist()))
    found = []
    for most in (1, 100):
        policy = policy_of(shop)
        policy._stock._most = most
        rng = np.random.default_rng(3)
        contexts = [{"device": "desk", "hour": 1.0}] * len(names)
        found.append([policy.choose_many(names, contexts, rng) for _ in range(3)])
    for (first, chance), (again, same) in zip(*found, strict=True):
        assert first == again
        np.testing.assert_allclose(chance, same, rtol=1e-12)
