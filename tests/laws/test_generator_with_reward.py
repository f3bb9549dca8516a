"""The real reward model and the generator together, judged by the planted truth."""

from dataclasses import replace

import numpy as np
import pytest
from tabular_reward import CONTEXT, shop_of

from model.combinations import Rules
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.reward.fit import RewardConfig, fit_reward
from model.serving import Mixture, ServingPolicy

CONFIG = GeneratorConfig(
    width=16, heads=2, clone_steps=20, clone_batch=256, steps=60, batch=64, group=8, pool=512, probe=64
)  # fmt: skip


@pytest.fixture(scope="module")
def world():
    """(shop, its log, reward model, generator): 40,000 displays of 12 products."""
    shop = shop_of(12, (3, 5), seed=11)
    people = np.array([f"u{n}" for n in range(40_000)], object)
    bags = replace(shop.bags(40_000, seed=12, skew=0.3), cluster_id=people)
    late = np.arange(len(bags)) >= 32_000
    train, valid = (bags.take(np.flatnonzero(part)) for part in (~late, late))
    config = RewardConfig(steps=80)
    reward = fit_reward(train, valid, shop.elements, CONTEXT, config, seed=0)
    generator, _ = fit_generator(bags, shop.elements, Rules(), reward, CONTEXT, CONFIG, seed=0)
    return shop, bags, reward, generator


def true_value(shop, policy, bags):
    rows = bags.take(np.arange(4000))
    shown = policy.sample(rows, 1, np.random.default_rng(0))[:, 0]
    return float(shop.truth.predict(replace(rows, element=shown), shop.elements).reward.mean())


def policy_of(world, mixture, learned=True):
    shop, _, reward, generator = world
    held = generator if learned else None
    return ServingPolicy(reward, held, shop.elements, Rules(), mixture, CONTEXT)


def test_policy_and_generator_earn_more_than_the_log_and_than_chance(world):
    shop, bags, _, _ = world
    logged = float(shop.truth.predict(bags, shop.elements).reward.mean())
    chance = true_value(shop, policy_of(world, Mixture(explore=0, uniform=1, temperature=1)), bags)
    proposed = policy_of(world, Mixture(explore=1, uniform=0, temperature=1))
    served = policy_of(world, Mixture(temperature=0.003))
    assert true_value(shop, proposed, bags) > 1.15 * max(logged, chance)
    assert true_value(shop, served, bags) > 1.25 * max(logged, chance)


@pytest.mark.parametrize("sampled", [0.0, 0.5])
def test_propensities_agree_with_the_distribution_to_the_rewards_own_precision(world, sampled):
    _, bags, _, _ = world
    policy = policy_of(world, Mixture(temperature=0.003, sampled=sampled))
    together = policy.propensity(bags.take(np.arange(2000)))
    alone = [policy.propensity(bags.take(np.array([row])))[0] for row in range(20)]
    np.testing.assert_allclose(alone, together[:20], rtol=1e-4)
    shown = policy.distribution("p003", {"device": "phone", "hour": 3.0})
    assert shown.probability.sum() == pytest.approx(1.0, abs=1e-9)
