"""Intervals of few members: wide enough to cover what the log left open."""

import numpy as np
import pytest
from planted import CONTEXT, planted

from model.reward.config import RewardConfig
from model.reward.fit import fit_reward
from model.reward.interval import rate_bounds, reach


def test_fewer_members_reach_further_and_one_says_nothing() -> None:
    assert reach(2) > reach(5) > reach(9) > reach(100) == pytest.approx(1.96)
    assert np.isnan(reach(1))


def test_bounds_hold_the_rate_and_lie_between_0_and_1() -> None:
    click = np.array([1e-6, 0.02, 0.5, 0.999])
    low, high = rate_bounds(click, 0.1 * click * (1 - click), 4)
    assert (low > 0).all()
    assert (high < 1).all()
    assert (low < click).all()
    assert (click < high).all()


def test_intervals_cover_true_rates_of_combinations_about_as_often_as_they_say() -> None:
    inside = []
    for seed in range(3):
        world = planted(seed=seed, rows=4000)
        tuned = np.arange(4000) % 10 == 0
        train, valid = (world.bags.take(np.flatnonzero(part)) for part in (~tuned, tuned))
        config = RewardConfig(steps=60, buckets=256, scale_id=0.5, scale_context=0.1)
        reward = fit_reward(train, valid, world.elements, CONTEXT, config, seed=seed)
        found = reward.predict(valid, world.elements)
        low, high = rate_bounds(found.click, found.click_spread, reward.members)
        product = np.array([int(name[1:]) for name in valid.product_id])
        odds = -1.5 + world.appeal[product] + world.effect[valid.element].sum(1)
        true = 1 / (1 + np.exp(-odds))
        inside.append(((low <= true) & (true <= high)).mean())
    assert 0.85 < np.mean(inside) <= 1.0


def test_an_element_that_nobody_saw_is_less_sure_than_one_shown_often() -> None:
    world = planted(seed=1)
    keep = ~(world.bags.element == 0).any(1)  # the first element is never shown
    train = world.bags.take(np.flatnonzero(keep))
    config = RewardConfig(steps=160, batch=2048, buckets=256, members=9, scale_id=0.5)
    reward = fit_reward(train, train.take(np.arange(0)), world.elements, CONTEXT, config, seed=0)
    doubt = reward.earnings(world.elements).gap_spread
    assert doubt[0] > 1.5 * doubt[1:4].max()


def test_the_first_member_is_the_mode_and_learns_what_it_would_alone() -> None:
    world = planted(seed=2, rows=3000)
    alone, among = (
        fit_reward(
            world.bags, world.bags.take(np.arange(0)), world.elements, CONTEXT,
            RewardConfig(steps=240, buckets=256, members=members), seed=0,
        ).predict(world.bags, world.elements).click
        for members in (1, 3)
    )  # fmt: skip
    assert np.corrcoef(alone, among)[0, 1] > 0.999


def test_a_model_without_interactions_trains() -> None:
    world = planted(seed=4, rows=2000)
    config = RewardConfig(steps=24, buckets=256, interaction=0)
    reward = fit_reward(
        world.bags, world.bags.take(np.arange(0)), world.elements, CONTEXT, config, seed=0
    )
    parts = reward.attribution(world.bags, world.elements)
    whole = parts.base + parts.product + parts.context + parts.element.sum(1)
    click = reward.predict(world.bags, world.elements).click
    np.testing.assert_allclose(whole, np.log(click / (1 - click)), atol=1e-4)
