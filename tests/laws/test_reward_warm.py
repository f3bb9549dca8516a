"""A training that begins where an earlier model ended starts with what that model knew."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CONTEXT, Planted, halves, planted

from model.bags import Bags
from model.reward.config import RewardConfig
from model.reward.fit import Reward, fit_reward

QUICK = RewardConfig(members=2, steps=120, buckets=512)
STILL = replace(QUICK, steps=1, learning_rate=0.0)


@pytest.fixture(scope="module")
def world() -> Planted:
    return planted(rows=8000)


def learn(
    world: Planted, bags: Bags, config: RewardConfig, start: Reward | None = None, seed: int = 0
) -> Reward:
    train, tuning = halves(bags)
    return fit_reward(train, tuning, world.elements, CONTEXT, config, seed=seed, start=start)


@pytest.fixture(scope="module")
def champion(world: Planted) -> Reward:
    return learn(world, world.bags, QUICK)


def test_without_a_step_it_predicts_what_its_start_predicted(
    champion: Reward, world: Planted
) -> None:
    begun = learn(world, world.bags, STILL, champion, seed=5)
    before = champion.predict(world.bags, world.elements).click
    assert np.abs(begun.predict(world.bags, world.elements).click - before).max() < 1e-5


def test_what_its_start_never_saw_is_as_in_a_fresh_training(world: Planted) -> None:
    seen = world.bags.take(np.flatnonzero(world.bags.product_id != "p5"))
    start = learn(world, seen, QUICK)
    cold, begun = (learn(world, world.bags, STILL, s, seed=5).state()[0] for s in (None, start))
    fresh = torch.tensor([False] * 6 + [True])
    assert torch.equal(begun["product"][fresh], cold["product"][fresh])
    assert torch.equal(begun["product"][~fresh], start.state()[0]["product"])
    mine = torch.tensor([False, *(name.startswith("p5") for name in own_keys(world))])
    assert int(mine.sum()) == 8
    assert torch.equal(begun["own"][mine], cold["own"][mine])
    assert torch.equal(begun["own"][~mine], start.state()[0]["own"])


def own_keys(world: Planted) -> list[str]:
    return sorted(
        f"{p}\x1f{s}\x1f{e}"
        for p, s, e in zip(
            world.elements.product_id, world.elements.slot, world.elements.element_id, strict=True
        )
    )


def test_where_it_begins_does_not_decide_where_it_ends(champion: Reward, world: Planted) -> None:
    """The anchors are the new training's: enough steps lead to the same predictions."""
    long = replace(QUICK, steps=300)
    cold, begun = (learn(world, world.bags, long, start, seed=5) for start in (None, champion))
    told = [r.predict(world.bags, world.elements).click for r in (cold, begun)]
    assert np.corrcoef(*told)[0, 1] > 0.98


def test_a_start_of_other_sizes_is_refused(champion: Reward, world: Planted) -> None:
    with pytest.raises(ValueError, match="start from none"):
        learn(world, world.bags, replace(QUICK, members=4), champion)
