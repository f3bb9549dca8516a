"""The ways to follow the reward: one interface, none of them learns from outside the support."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tabular_reward import CONTEXT, shop_of

from model.combinations import Rules, space_of
from model.generator.behaviour import displays_by_option
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.generator.lattice import Lattice
from model.generator.options import GAINS, Signal, Tuning, advantage, left_out

SMALL = GeneratorConfig(
    width=16, heads=2, clone_steps=30, clone_batch=256, steps=80, batch=48, group=8, pool=256, probe=64
)  # fmt: skip
TUNING = Tuning(clip_ratio=0.2, kept=2)


@pytest.fixture(scope="module")
def shop():
    return shop_of(5, (3, 5), seed=3, slots=3)


@pytest.fixture(scope="module")
def bags(shop):
    return shop.bags(3000, seed=4, skew=0.8)


def some_signal():
    rng = torch.Generator().manual_seed(0)
    reward = torch.rand(6, 8, generator=rng)
    supported = torch.rand(6, 8, generator=rng) < 0.7
    supported[0] = False
    supported[1] = torch.arange(8) == 3
    return Signal(reward, supported)


def slopes(method, signal, sampled):
    log_prob = sampled.clone().requires_grad_()
    GAINS[method](signal, log_prob, sampled, TUNING).sum().backward()
    return log_prob.grad


@pytest.mark.parametrize("method", sorted(GAINS))
def test_no_gradient_leads_to_a_sample_outside_the_support(method):
    signal = some_signal()
    sampled = -torch.rand(6, 8, generator=torch.Generator().manual_seed(1))
    slope = slopes(method, signal, sampled)
    assert (slope[~signal.supported] <= 0).all()
    assert (slope[0] == 0).all()  # a group without any supported sample says nothing
    assert (slope[2:][signal.supported[2:]] != 0).any()


@pytest.mark.parametrize("method", sorted(GAINS))
def test_what_the_reward_promises_outside_the_support_changes_nothing(method):
    signal = some_signal()
    sampled = -torch.rand(6, 8, generator=torch.Generator().manual_seed(1))
    expected = torch.where(signal.supported, slopes(method, signal, sampled), 0.0)
    for promise in (1e3, torch.nan):
        told = torch.where(signal.supported, signal.reward, promise)
        found = slopes(method, Signal(told, signal.supported), sampled)
        torch.testing.assert_close(found, expected)


def test_a_sample_without_support_is_descended_where_even_that_is_below_the_mean():
    reward = torch.tensor([[1.0, 3.0, 1.9, -50.0]])
    found = advantage(Signal(reward, torch.tensor([[True, True, False, False]])))
    assert found[0, 2] < 0
    assert found[0, 3] == -3.0


def test_the_first_step_of_the_clipped_ratio_is_the_plain_gradient():
    signal = some_signal()
    sampled = -torch.rand(6, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        slopes("clipped", signal, sampled), slopes("gradient", signal, sampled)
    )


def test_a_ratio_that_went_as_far_as_allowed_is_not_pushed_further():
    signal = Signal(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2, dtype=torch.bool))
    sampled = torch.full((1, 2), -1.0)
    log_prob = torch.tensor([[-0.5, -1.5]], requires_grad=True)  # the better one up, the other down
    GAINS["clipped"](signal, log_prob, sampled, TUNING).sum().backward()
    assert (log_prob.grad == 0).all()


def test_leaving_a_sample_out_compares_it_with_the_mean_of_the_others():
    reward = torch.tensor([[1.0, 2.0, 6.0]])
    found = left_out(Signal(reward, torch.ones(1, 3, dtype=torch.bool)))
    plain = torch.tensor([[1.0 - 4.0, 2.0 - 3.5, 6.0 - 1.5]])
    torch.testing.assert_close(found / found[0, 2], plain / plain[0, 2])
    alone = Signal(reward, torch.tensor([[True, False, False]]))
    assert (left_out(alone) == 0).all()


def test_the_best_of_a_group_are_distilled_and_no_other():
    signal = Signal(torch.tensor([[1.0, 9.0, 3.0, 2.0]]), torch.tensor([[True, False, True, True]]))
    slope = slopes("best_of", signal, torch.full((1, 4), -1.0))
    assert ((slope > 0) == torch.tensor([[False, False, True, True]])).all()


@pytest.mark.parametrize("method", sorted(GAINS))
def test_every_option_closes_a_third_of_the_distance_to_the_best(shop, bags, method):
    config = replace(SMALL, method=method, epochs=2)
    _, metrics = fit_generator(bags, shop.elements, Rules(), shop.truth, CONTEXT, config, seed=1)
    assert metrics["reward_closed"] > 0.33
    assert metrics["coverage"] > 0.3
    assert metrics["distinct"] > 0.1


def test_a_killed_run_of_several_epochs_goes_on_to_the_same_weights(shop, bags, tmp_path):
    config = replace(SMALL, method="clipped", epochs=3, clone_steps=2, steps=5, checkpoint_every=2)
    given = (bags, shop.elements, Rules(), shop.truth, CONTEXT, config)
    whole, _ = fit_generator(*given, seed=1)
    path = tmp_path / "generator.safetensors"

    def kill(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_generator(*given, seed=1, checkpoint=path, progress=kill)
    again, metrics = fit_generator(*given, seed=1, checkpoint=path)
    assert metrics["resumed_at"] == 4
    expected, found = whole.state()[0], again.state()[0]
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_displays_of_an_option_are_those_of_the_log(shop, bags):
    names = sorted(set(bags.product_id.tolist()))
    lattice = Lattice.pack([space_of(name, shop.elements, Rules()) for name in names])
    found = displays_by_option(bags, lattice)
    for product, name in enumerate(names):
        for slot, rows in enumerate(shop.elements.rows_of(name)):
            shown = bags.element[bags.product_id == name, slot]
            expected = [float((shown == row).sum()) for row in rows]
            assert found[product, slot, 1 : len(rows) + 1].tolist() == expected
    assert torch.isinf(found[:, :, 0]).all()


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method is 'magic'; expected one of gradient"):
        GeneratorConfig(method="magic")  # type: ignore[arg-type]


def test_a_reward_that_turns_bad_is_found_before_training_goes_on(shop, bags):
    alone = shop.truth.alone.copy()
    alone[shop.elements.rows_of("p001")[0][0]] = np.nan
    broken = replace(shop.truth, alone=alone)
    reached = []
    config = replace(SMALL, clone_steps=2, steps=500, checkpoint_every=5)
    with pytest.raises(ValueError, match="no finite number"):
        fit_generator(
            bags, shop.elements, Rules(), broken, CONTEXT, config,
            seed=1, progress=lambda done, total: reached.append(done),
        )  # fmt: skip
    assert max(reached) < 10
