"""The step with static shapes computes what the production network's own code computes."""

import copy

import pytest
import torch

from benchmarks.generator_gpu import Plain, gradient_of, networks, off, world_of
from model.generator import decode
from model.generator.config import GeneratorConfig
from model.generator.fused.step import How, Step
from model.generator.hints import Caution

CONFIG = GeneratorConfig(width=16, layers=1, group=4)
CAUTION = Caution(1.0, 0.4)


def test_loss_probabilities_and_gradients_are_those_of_float64() -> None:
    torch.manual_seed(0)
    world = world_of(6, 0)
    policy, clone = networks(16, 1, 0)
    step = Step(copy.deepcopy(policy), copy.deepcopy(clone), world.requests, CAUTION, CONFIG, How())
    told = step.gradients()
    assert bool(world.legal(told.options).all())
    exact, held = policy.double(), clone.double()
    plain = Plain(world.to("cpu", torch.float64), CONFIG, autocast=False)
    loss, walk = plain.loss(exact, held, decode.given(told.options))
    loss.backward()
    own, truth = gradient_of(step.network), gradient_of(exact)
    assert off(told.log_prob, walk.log_prob) < 1e-5
    assert abs(float(loss.detach()) - float(told.loss)) < 1e-5 * abs(float(loss.detach()))
    assert set(own) == set(truth)
    assert (
        off(
            torch.cat([own[n].flatten() for n in truth]),
            torch.cat([truth[n].flatten() for n in truth]),
        )
        < 1e-4
    )


def test_a_step_changes_the_policy_and_never_its_clone() -> None:
    torch.manual_seed(0)
    policy, clone = networks(16, 1, 1)
    before = copy.deepcopy(clone.state_dict())
    was = copy.deepcopy(policy.state_dict())
    Step(policy, clone, world_of(6, 1).requests, CAUTION, CONFIG, How()).run()
    assert all(torch.equal(before[name], held) for name, held in clone.state_dict().items())
    assert any(not torch.equal(was[name], now) for name, now in policy.state_dict().items())


def test_a_scan_that_rounds_each_place_by_itself_draws_nothing_illegal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a GPU, where one of ten million samples was illegal before."""
    plain, chance = torch.Tensor.cumsum, torch.Generator().manual_seed(0)

    def parallel(self: torch.Tensor, dim: int) -> torch.Tensor:
        found = plain(self, dim)
        noise = torch.rand(found.shape, generator=chance)
        return found * (1 + 0.01 * noise) if found.is_floating_point() else found

    monkeypatch.setattr(torch.Tensor, "cumsum", parallel)
    allowed = torch.rand(20_000, 1, 17, generator=chance) < 0.4
    allowed[..., 3] = True
    scores = torch.randn(20_000, 1, 17, generator=chance).masked_fill(~allowed, -torch.inf)
    uniform = torch.rand(20_000, 1, 1, generator=chance)
    chosen = decode.drawn(uniform)(0, scores.log_softmax(-1), allowed)
    assert bool(allowed.gather(-1, chosen[..., None]).all())
    assert len(chosen.unique()) == 17
