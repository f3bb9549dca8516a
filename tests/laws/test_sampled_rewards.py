"""The share of the policy that follows drawn rewards: which rewards these are, and how often each
combination is shown for it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from planted import CONTEXT as KINDS
from planted import planted
from random_rules import worlds
from tabular_reward import CONTEXT, bags_of, context_of, elements_of, row_of, shop_of
from untrained import untrained

from model.combinations import Rules, space_of
from model.generator.sampled import KEPT
from model.reward.config import RewardConfig
from model.reward.fit import fit_reward
from model.reward.members import mode
from model.serving import Mixture, ServingPolicy

BOLD = Mixture(explore=0.1, uniform=0.05, sampled=0.4, temperature=0.004, candidates=6)


def policy_of(shop, mixture=BOLD, rules=None, learned=True):
    generator = untrained(shop, 1) if learned else None
    return ServingPolicy(shop.truth, generator, shop.elements, rules or Rules(), mixture, CONTEXT)


@pytest.fixture(scope="module")
def shop():
    shop = shop_of(8, (2, 5), seed=6)
    return replace(shop, truth=replace(shop.truth, doubt=np.full(len(shop.elements), 0.1)))


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_with_drawn_rewards_probabilities_sum_to_one_and_are_the_propensities(world):
    shop, rules = world
    policy = policy_of(shop, rules=rules)
    for product in sorted(set(shop.elements.product_id.tolist())):
        try:
            space = space_of(product, shop.elements, rules)
        except ValueError:
            continue
        shown = policy.distribution(product, {"device": "desk", "hour": 7.0})
        assert shown.probability.sum() == pytest.approx(1.0, abs=1e-9)
        rows = space.rows(space.enumerate())
        columns = {
            "device": np.array(["desk"] * len(rows), object),
            "hour": np.full(len(rows), 7.0),
        }
        bags = bags_of(np.array([product] * len(rows), object), rows, columns)
        np.testing.assert_allclose(policy.propensity(bags), shown.probability, rtol=1e-9)


def test_the_sampled_share_is_the_mean_over_draws_of_each_ones_softmax_over_its_best(shop):
    only = replace(BOLD, explore=0.0, uniform=0.0, sampled=1.0)
    context = {"device": "phone", "hour": 1.0}
    cell = {"device": np.array(["phone"], object), "hour": np.array([1.0])}
    moved = 0
    for product in sorted(set(shop.elements.product_id.tolist())):
        space = space_of(product, shop.elements, Rules())
        own = shop.elements.rows_of(product)
        widest = max(map(len, own))
        rows = np.stack([np.pad(r, (0, widest - len(r)), constant_values=-1) for r in own])[None]
        every = torch.from_numpy(space.enumerate().astype(np.int64))[None]
        pieces = shop.truth.pieces([product], cell, shop.elements, rows)
        expected = np.zeros(every.shape[1])
        draws, drawn = pieces.drawn(only.deviation)
        for reward in drawn.mean(every.expand(draws, -1, -1)).double().numpy():
            best = np.argsort(-reward, kind="stable")[:KEPT]
            weight = np.exp((reward[best] - reward.max()) / only.temperature)
            expected[best] += weight / weight.sum() / 4
        shown = policy_of(shop, only).distribution(product, context)
        np.testing.assert_allclose(shown.probability, expected, rtol=1e-6, atol=1e-12)
        mean = pieces.mean(every)[0].numpy()
        np.testing.assert_allclose(shown.predicted_reward, mean, rtol=1e-6)
        moved += int(expected.argmax() != mean.argmax())
    assert moved > 0  # else the draws would not differ from the mean


def test_choices_come_as_often_as_the_distribution_with_drawn_rewards_says(shop):
    policy, rng = policy_of(shop), np.random.default_rng(1)
    names, context = (
        sorted(set(shop.elements.product_id.tolist()))[:2],
        {"device": "desk", "hour": 7.0},
    )
    size = 6000
    asked = [names[n % 2] for n in range(2 * size)]
    combinations, chance = policy.choose_many(asked, [context] * len(asked), rng)
    for place, name in enumerate(names):
        shown = policy.distribution(name, context)
        listed = [tuple(sorted(c.items())) for c in shown.combinations]
        seen = Counter(tuple(sorted(c.items())) for c in combinations[place::2])
        counts = np.array([seen[one] for one in listed])
        expected = size * shown.probability
        statistic = float((np.square(counts - expected) / expected).sum())
        freedom = len(expected) - 1
        assert statistic < freedom + 5 * (2 * freedom) ** 0.5
        told = [
            shown.probability[listed.index(tuple(sorted(c.items())))]
            for c in combinations[place::2]
        ]
        np.testing.assert_allclose(chance[place::2], told, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 5, 40, 10_000])
@pytest.mark.parametrize("learned", [True, False])
def test_the_top_with_drawn_rewards_is_the_head_of_the_sorted_distribution(shop, k, learned):
    policy = policy_of(shop, learned=learned)
    context = context_of(8, np.random.default_rng(4))
    names = sorted(set(shop.elements.product_id.tolist()))
    tops = policy.top(names, context, k)
    for at in range(8):
        one = {name: values[at] for name, values in context.items()}
        full = policy.distribution(names[at], one)
        order = np.argsort(-np.round(full.probability * 2**40), kind="stable")[:k]
        np.testing.assert_allclose(tops[at].probability, full.probability[order], rtol=1e-9)
        assert tops[at].combinations == [full.combinations[i] for i in order]


def test_products_too_large_to_list_follow_drawn_rewards_too():
    counts = {"huge": (40, 40, 40, 40), "small": (2, 2, 2, 2)}
    elements = elements_of(counts, ("title", "image", "highlight", "tag"), seed=1)
    shop = shop_of(2, (2, 2), seed=3)
    rng, size = np.random.default_rng(3), len(elements)
    truth = replace(
        shop.truth,
        alone=rng.normal(0, 0.35, size),
        device=rng.normal(0, 0.2, (size, 3)),
        together=rng.normal(0, 0.3, (size, 2)),
        doubt=np.full(size, 0.1),
    )
    policy = policy_of(replace(shop, elements=elements, truth=truth))
    columns = {"device": np.array(["phone"] * 2, object), "hour": np.array([4.0, 4.0])}
    for best in policy.top(["huge", "small"], columns, 5):
        assert len({tuple(sorted(c.items())) for c in best.combinations}) == 5
        assert (np.diff(best.probability) <= 0).all()
    for _ in range(20):
        combination, propensity = policy.choose("huge", {"device": "phone", "hour": 4.0}, rng)
        one = {name: values[:1] for name, values in columns.items()}
        row = row_of(elements, "huge", combination)[None]
        bags = bags_of(np.array(["huge"], object), row, one)
        assert policy.propensity(bags)[0] == pytest.approx(propensity, rel=1e-9)


def _drawn_pieces():
    """Of two requests, by a model of three members."""
    world = planted(rows=2000)
    bags, elements = world.bags, world.elements
    first, second = (bags.take(np.arange(n, 2000, 2)) for n in (0, 1))
    config = RewardConfig(steps=12, members=3)
    reward = fit_reward(first, second, elements, KINDS, config, seed=0)
    rows = np.stack([np.stack(elements.rows_of(product)) for product in ("p0", "p1")])
    cells = {"device": np.array(["desk", "phone"], object), "hour": np.array([3.0, 9.0])}
    return reward.pieces(["p0", "p1"], cells, elements, rows)


def test_own_terms_lie_on_both_sides_of_the_mode_and_at_1_on_the_member_itself():
    pieces = _drawn_pieces()
    asked, members = pieces.base.shape[:2]
    draws, whole = pieces.drawn(1.0)
    assert draws == 2 * (members - 1)
    assert whole.scale.worth.shape == (draws * asked,)
    for part, axis in (("base", 1), ("unary", 3)):
        found = getattr(whole, part).squeeze(axis).unflatten(0, (draws, asked))
        given = getattr(pieces, part)
        towards, away = found[: members - 1], found[members - 1 :]
        others = given.narrow(axis, 1, members - 1).movedim(axis, 0)
        torch.testing.assert_close(towards, others, atol=1e-5, rtol=1e-4)
        middle = mode(given, axis).expand_as(towards)
        torch.testing.assert_close((towards + away) / 2, middle, atol=1e-5, rtol=1e-4)
        near = getattr(pieces.drawn(0.3)[1], part).squeeze(axis).unflatten(0, (draws, asked))
        expected = 0.7 * middle + 0.3 * others
        torch.testing.assert_close(near[: members - 1], expected, atol=1e-5, rtol=1e-4)


def test_what_pairs_add_lies_a_share_of_the_way_to_what_they_add_for_a_member():
    pieces = _drawn_pieces()
    members = pieces.factor.shape[3]
    draws, drawn = pieces.drawn(0.3)
    found = _pairs(drawn.factor)[..., 0].unflatten(0, (draws, len(pieces.factor)))
    given = _pairs(pieces.factor)
    assert (given[..., 1:] - given[..., :1]).abs().max() > 0.01  # else nothing would be drawn
    for number in range(members - 1):
        for place, other in (
            (number, number),
            (members - 1 + number, (number + 1) % (members - 1)),
        ):
            expected = 0.7 * given[..., 0] + 0.3 * given[..., 1 + other]
            torch.testing.assert_close(found[place], expected, atol=1e-6, rtol=1e-4)


def test_drawn_rewards_that_are_alike_have_the_same_factors_and_others_have_not():
    pieces = _drawn_pieces()
    draws, drawn = pieces.drawn(0.3)
    factor = drawn.factor.unflatten(0, (draws, len(pieces.factor)))
    assert len(drawn.like) == draws
    for one in range(draws):
        for other in range(draws):
            same = torch.equal(factor[one], factor[other])
            assert same == (drawn.like[one] == drawn.like[other])


def _pairs(factor):
    """(B, S, K, S, K, M) what each pair of candidates adds."""
    return torch.einsum("bskmr,btlmr->bsktlm", factor, factor)


def test_a_model_without_other_members_has_nothing_to_draw(shop):
    class Alone:
        def __getattr__(self, name):
            return getattr(shop.truth, name)

    pieces_of = shop.truth.pieces
    single = Alone()
    single.pieces = lambda *a, **k: _without_draws(pieces_of(*a, **k))
    single.shelf = lambda *a: type(shop.truth).shelf(single, *a)
    policy = ServingPolicy(single, None, shop.elements, Rules(), BOLD, CONTEXT)
    with pytest.raises(ValueError, match=r"one member.*publish\.sampled to 0"):
        policy.choose("p001", {"device": "desk", "hour": 1.0}, np.random.default_rng(0))


def _without_draws(pieces):
    class Single(type(pieces)):
        def drawn(self, deviation):
            return 0, self

    return Single(pieces.base, pieces.alone, pieces.together, pieces.doubt)
