"""What makes a training step cheap changes nothing of what it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CONTEXT, Planted, planted

from benchmarks.reward_static import How, StaticStep, as_kind, both_logits
from model.reward.compact import only_used, renamed
from model.reward.config import RewardConfig
from model.reward.encoding_fit import fit_encoding
from model.reward.network import RewardNetwork
from model.reward.rows import member_weights, rows_of
from model.reward.training import Learner, Lesson, needed

QUICK = RewardConfig(members=2, buckets=512, dispersion=1.0, batch=500, passes=0.1)


@pytest.fixture(scope="module")
def world() -> Planted:
    return planted(rows=3000)


def lesson_of(world: Planted) -> tuple[RewardNetwork, Lesson]:
    bags, shown = world.bags, np.arange(len(world.elements))
    encoding = fit_encoding(world.elements, shown, bags, CONTEXT, 512, 8, 0)
    inputs = encoding.element_inputs(world.elements)
    weight = member_weights(bags, QUICK.members, np.random.default_rng(0))
    network = RewardNetwork(encoding, QUICK)
    network.start(QUICK, torch.Generator().manual_seed(0))
    rows = rows_of(encoding, bags, shown, weight, "cpu")
    return network, Lesson(inputs, rows, None, bags.product_id)


def test_learning_the_used_ngrams_alone_learns_the_same(world: Planted) -> None:
    whole, lesson = lesson_of(world)
    few, _ = lesson_of(world)
    before = few.text.detach().clone()
    learner = Learner(whole, lesson, QUICK, 0)
    for _ in range(5):
        learner.advance()
    with only_used(few, lesson.inputs) as used:
        assert 0 < len(used) < 512
        learner = Learner(few, lesson.renamed(used), QUICK, 0)
        for _ in range(5):
            learner.advance()
    assert few.text.shape == whole.text.shape
    for name, value in whole.state_dict().items():
        assert torch.allclose(few.state_dict()[name], value, atol=1e-5), name
    rest = torch.ones(512, dtype=torch.bool)
    rest[used] = False
    assert torch.equal(few.text.detach()[rest], before[rest])
    assert not torch.equal(few.text.detach()[used], before[used])


def test_an_ngram_that_was_not_learned_weighs_nothing(world: Planted) -> None:
    network, lesson = lesson_of(world)
    some = lesson.inputs.take(torch.arange(5))
    with only_used(network, some) as used:
        told = renamed(lesson.inputs, used)
        assert torch.equal(
            network.elements(told).term[:5], network.elements(renamed(some, used)).term
        )
        known = torch.isin(lesson.inputs.grams.bucket, used)
        assert (told.grams.weight[~known] == 0).all()
        assert torch.equal(told.grams.weight[known], lesson.inputs.grams.weight[known])


def test_a_step_that_reads_its_own_elements_alone_has_the_same_gradient(
    world: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = torch.arange(7)
    found = []
    for few in (True, False):
        network, lesson = lesson_of(world)
        learner = Learner(network, lesson, QUICK, 0)
        rows = lesson.rows.take(index)
        inputs, rows, keep = (
            needed(lesson.inputs, rows, None) if few else (lesson.inputs, rows, None)
        )
        assert (len(inputs.own) < len(lesson.inputs.own)) == few
        learner._row_loss(network.elements(inputs, keep), rows).sum().backward()
        found.append({n: p.grad for n, p in network.named_parameters()})
    for name, gradient in found[1].items():
        assert (gradient is None) == (found[0][name] is None)
        assert gradient is None or torch.allclose(found[0][name], gradient, atol=1e-5), name


def test_the_step_of_fixed_shapes_has_the_same_log_odds(world: Planted) -> None:
    network, lesson = lesson_of(world)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    some = lesson.rows.take(torch.arange(300))
    some.batch.element[::7, 1] = -1
    outputs = network.elements(lesson.inputs)
    for kind, near in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        told = as_kind(some, kind)
        click, within, after = both_logits(network, outputs, told.batch, kind)
        whole, part = network.logits(outputs, some.batch)
        assert torch.allclose(click, whole, atol=near)
        assert torch.allclose(within, part, atol=near)
        assert torch.allclose(after, network.logits(outputs, some.batch, head=1)[0], atol=near)


def test_the_step_of_fixed_shapes_has_the_learners_gradient(world: Planted) -> None:
    sold = replace(world.bags, conversions=world.bags.clicks * (np.arange(len(world.bags)) % 3 > 0))
    network, lesson = lesson_of(replace(world, bags=sold))
    twin, _ = lesson_of(world)
    rows = lesson.rows.take(torch.arange(500))
    learner = Learner(network, lesson, QUICK, 0)
    loss = learner._row_loss(network.elements(lesson.inputs), rows) * (3000 / 500)
    (loss + network.penalty(QUICK)).sum().backward()
    groups = learner.batches.products
    step = StaticStep(twin, lesson.inputs, as_kind(rows, torch.float32), QUICK, groups, 3000, How())
    step.gradients()
    for name, parameter in network.named_parameters():
        other = twin.get_parameter(name).grad
        assert (parameter.grad is None) == (other is None), name
        if parameter.grad is not None and other is not None:
            off = (parameter.grad - other).norm() / parameter.grad.norm().clamp(min=1e-9)
            assert off < 1e-4, name


@pytest.mark.parametrize("batch", [500, 5000])
def test_the_fused_step_learns_what_the_plain_one_learns(world: Planted, batch: int) -> None:
    sold = replace(world.bags, conversions=world.bags.clicks * (np.arange(len(world.bags)) % 3 > 0))
    found = []
    for step in ("plain", "fused"):
        network, lesson = lesson_of(replace(world, bags=sold))
        lesson.rows.batch.element[::7, 1] = -1
        begun = {n: p.detach().clone() for n, p in network.named_parameters()}
        learner = Learner(network, lesson, replace(QUICK, step=step, batch=batch), 0)
        assert (learner.fused is not None) == (step == "fused")
        learner.advance()
        state = learner.optimiser.state
        slopes = {n: state[p]["exp_avg"].clone() for n, p in network.named_parameters()}
        for _ in range(7):
            learner.advance()
        moves = {n: p.detach() - begun[n] for n, p in network.named_parameters()}
        found.append((slopes, moves))
    # Adam makes full steps of rounding where a slope is 0, so moves agree less than slopes
    for (plain, fused), near in zip(zip(*found, strict=True), (1e-5, 5e-3), strict=True):
        for name, told in plain.items():
            off = (fused[name] - told).norm() / told.norm().clamp(min=1e-9)
            assert off < near, f"{name}: {off}"
    assert float(found[0][1]["own"].abs().max()) > 0.01


def test_a_log_that_the_fused_step_cannot_learn_is_refused_or_learned_plainly(
    world: Planted,
) -> None:
    network, lesson = lesson_of(world)
    dropped = replace(QUICK, id_dropout=0.1)
    assert Learner(network, lesson, dropped, 0).fused is None
    with pytest.raises(ValueError, match=r"dropped; set train_reward\.options\.step"):
        Learner(network, lesson, replace(dropped, step="fused"), 0)
    with pytest.raises(ValueError, match="'turbo'; expected auto, plain or fused"):
        Learner(network, lesson, replace(QUICK, step="turbo"), 0)


def test_many_elements_are_found_as_one_by_one(world: Planted, monkeypatch) -> None:
    from model import elements

    rows = world.bags.take(np.arange(400))
    titles = world.elements.element_id[rows.element[:, 0]].copy()
    titles[3] = "nobody"
    expected = world.elements.find(rows.product_id, 0, titles)
    monkeypatch.setattr(elements, "MANY", 5)
    assert np.array_equal(world.elements.find(rows.product_id, 0, titles), expected)
    assert expected[3] == -1
    assert (expected[:3] == rows.element[:3, 0]).all()
