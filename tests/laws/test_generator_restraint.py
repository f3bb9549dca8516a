"""The divergence from the clone ends near its target, whatever the seed and the shop's size."""

import pytest

from benchmarks.generator_worlds import CONTEXT, Planted, learned
from model.combinations import Rules
from model.generator.fit import GeneratorConfig, fit_generator


@pytest.mark.parametrize(("products", "candidates", "seed"), [(20, 5, 0), (8, 8, 0)])
def test_training_ends_near_the_target_and_most_of_the_way_up(products, candidates, seed):
    world = Planted.of(products, candidates, 100 + seed)
    bags = world.log(20_000, 200 + seed)
    reward = learned(world, bags, 120)
    config = GeneratorConfig(probe=128)
    _, told = fit_generator(bags, world.elements, Rules(), reward, CONTEXT, config, seed=seed)
    assert 0.35 < told["kl_share"] < 0.7
    assert told["reward_closed"] > 0.5
