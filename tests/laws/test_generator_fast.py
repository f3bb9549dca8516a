"""The fast step is the production network's function: same probabilities, loss and gradients."""

import copy

import pytest
import torch

from benchmarks import generator_gpu as bench
from model.generator import decode
from model.generator.config import GeneratorConfig
from model.generator.fused.step import How, Step

CONFIG = GeneratorConfig(width=32, layers=2, group=16)


@pytest.fixture(scope="module")
def world():
    made = bench.world_of(16, 3)
    there = made.open[made.rule][:, :, 1:].flatten(1)
    made.requests.present[::2] = there[::2]
    return made


def step_of(world, how=How()):  # noqa: B008
    policy, clone = bench.networks(32, 2, 3)
    step = Step(policy, clone, world.requests, bench.CAUTION, CONFIG, how)
    torch.manual_seed(5)
    step.uniform.uniform_()
    return step


def test_log_probabilities_loss_and_gradients_equal_float64_production_to_1e_5(world):
    step = step_of(world)
    told = step.gradients()
    policy, clone = (copy.deepcopy(n).double() for n in bench.networks(32, 2, 3))
    plain = bench.Plain(world.to("cpu", torch.float64), CONFIG, autocast=False)
    loss, walk = plain.loss(policy, clone, decode.given(told.options))
    loss.backward()
    assert bench.off(told.log_prob, walk.log_prob) < 1e-5
    exact = float(loss.detach())
    assert abs(float(told.loss) - exact) < 1e-4 * abs(exact)
    own, truth = bench.gradient_of(step.network), bench.gradient_of(policy)
    flat = [torch.cat([part[name].flatten().double() for name in truth]) for part in (own, truth)]
    assert bench.off(*flat) < 1e-5


def test_no_sample_of_the_fast_step_breaks_a_rule(world):
    step = step_of(world)
    for seed in range(5):
        torch.manual_seed(seed)
        step.uniform.uniform_()
        assert world.legal(step.run().options).all()


def test_the_independent_rule_check_finds_a_forbidden_pair(world):
    options = step_of(world).gradients().options.clone()
    rule = world.rule[0]
    a, i, b, j = world.apart[rule].nonzero()[0].tolist()
    options[0, 0, a], options[0, 0, b] = i, j
    assert not world.legal(options)[0, 0]


def test_the_same_uniform_numbers_give_the_same_weights(world):
    first, again = step_of(world), step_of(world)
    for step in (first, again):
        step.run()
    for a, b in zip(first.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)
