"""Training by the step with static shapes learns what plain training learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.generator_worlds import CONTEXT, Planted, learned
from model.combinations import Forbidden, Rules, space_of
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator

CONFIG = GeneratorConfig(
    width=16,
    clone_steps=4,
    steps=8,
    batch=24,
    group=6,
    pool=48,
    probe=8,
    id_dropout=0.5,
    checkpoint_every=3,
    least_shown=120.0,  # so that some options are beyond the support
)
RULES = Rules(forbidden=(Forbidden(None, "title", "t00", "image", "i01"),))
FIGURES = ("clone_nats", "sampled_reward", "kl_share", "entropy_share", "supported_share")


@pytest.fixture(scope="module")
def world():
    shop = Planted.of(5, 3, seed=1)
    bags = shop.log(2000, seed=2)
    return shop, bags, learned(shop, bags, steps=8)


def fitted(world, config, **more):
    shop, bags, reward = world
    return fit_generator(bags, shop.elements, RULES, reward, CONTEXT, config, seed=3, **more)


def chances(world, generator):
    """Probabilities of every legal combination of a product in one context."""
    shop, bags, reward = world
    space = space_of("p001", shop.elements, RULES)
    proposer, one = generator.over(shop.elements, [space]), np.zeros(1, np.int64)
    context = {"device": bags.context["device"][:1]}
    pieces = reward.pieces(["p001"], context, shop.elements, proposer.lattice.rows)
    listed = torch.from_numpy(space.enumerate().astype(np.int64))[None]
    asked = proposer.asked(one, context, pieces)
    return proposer.log_prob(asked, torch.zeros(1, dtype=torch.int64), listed)[0].exp()


@pytest.mark.parametrize("method", ["gradient", "leave_one_out", "best_of"])
def test_fused_training_is_plain_training_up_to_rounding(world, method):
    found = [
        fitted(world, replace(CONFIG, method=method, step=step)) for step in ("plain", "fused")
    ]
    (plain, told), (fused, same) = found
    assert 0 < told["supported_share"] < 1  # else hidden support would not be tested
    for name in (*FIGURES, "kl_weight"):
        assert same[name] == pytest.approx(told[name], rel=1e-4, abs=1e-7), name
    np.testing.assert_allclose(chances(world, fused), chances(world, plain), atol=1e-5)
    start, _ = fitted(world, replace(CONFIG, steps=1, method=method, step="fused"))
    assert (chances(world, start) - chances(world, fused)).abs().max() > 0.005  # it did learn


def test_a_killed_fused_training_ends_with_the_same_bits(world, tmp_path):
    config = replace(CONFIG, step="fused")
    whole, _ = fitted(world, config)

    def killed(done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(world, config, checkpoint=tmp_path / "c", progress=killed)
    again, told = fitted(world, config, checkpoint=tmp_path / "c")
    assert told["resumed_at"] == 6
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_the_fused_step_is_not_asked_for_where_it_cannot_be_had(world):
    with pytest.raises(ValueError, match="expected one of auto, plain, fused"):
        replace(CONFIG, step="fast")
    with pytest.raises(ValueError, match="method clipped learns several times"):
        replace(CONFIG, step="fused", method="clipped")
