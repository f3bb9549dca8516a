"""Cloning follows the log, reinforcement follows the reward within its support, runs go on exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tabular_reward import CONTEXT, Shop, shop_of

from model.combinations import Forbidden, Rules, space_of
from model.generator.behaviour import clone_weights
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.generator.objective import Signal, advantage, step_of

SMALL = GeneratorConfig(
    width=16,
    heads=2,
    clone_steps=30,
    clone_batch=256,
    steps=40,
    batch=32,
    group=8,
    pool=256,
    probe=64,
)


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def shop():
    return shop_of(5, (3, 5), seed=3, slots=3)


@pytest.fixture(scope="module")
def bags(shop):
    return shop.bags(3000, seed=4, skew=0.8)


def trained(shop, bags, config=SMALL, rules=None, seed=1, **more):
    rules = rules or Rules()
    return fit_generator(bags, shop.elements, rules, shop.truth, CONTEXT, config, seed=seed, **more)


def logged_and_cloned(shop, bags, generator):
    """Per product (the log's share of each legal combination, the policy's chance of it)."""
    for product in sorted(set(bags.product_id.tolist())):
        space = space_of(product, shop.elements, Rules())
        proposer = generator.over(shop.elements, [space])
        rows = proposer.lattice.rows[:1]
        context = {"device": np.array(["phone"], object), "hour": np.array([12.0])}
        pieces = shop.truth.pieces([product], context, shop.elements, rows)
        listed = torch.from_numpy(space.enumerate().astype(np.int64))[None]
        asked = proposer.asked(np.zeros(1, np.int64), context, pieces)
        chance = (
            proposer.log_prob(asked, torch.zeros(1, dtype=torch.int64), listed)[0].exp().numpy()
        )
        shown = bags.element[bags.product_id == product]
        share = (shown[:, None] == space.rows(space.enumerate())[None]).all(2).mean(0)
        yield share, chance


def test_a_clone_without_propensities_repeats_the_log(shop, bags):
    unknown = replace(bags, propensity=np.full(len(bags), np.nan))
    config = replace(SMALL, steps=0, clone_steps=150)
    generator, _ = trained(shop, unknown, config)
    for share, chance in logged_and_cloned(shop, bags, generator):
        even = np.full(len(share), 1 / len(share))
        assert np.abs(share - chance).sum() < 0.5 * np.abs(share - even).sum()


def test_a_clone_with_propensities_covers_evenly_what_was_shown(shop, bags):
    generator, _ = trained(shop, bags, replace(SMALL, steps=0, clone_steps=150))
    for share, chance in logged_and_cloned(shop, bags, generator):
        even = np.full(len(share), 1 / len(share))
        assert np.abs(chance - even).sum() < 0.6 * np.abs(share - even).sum()


def test_reinforcement_closes_most_of_the_distance_to_the_best(shop, bags):
    config = replace(SMALL, steps=120, batch=64)
    _, metrics = trained(shop, bags, config)
    assert abs(metrics["reward_clone"] / metrics["reward_uniform"] - 1) < 0.1
    assert metrics["reward_closed"] > 0.5
    assert metrics["reward_beam"] > 0.9 * metrics["reward_best"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(shop, bags):
    config = replace(SMALL, clone_steps=5, steps=5)
    first, second, other = (trained(shop, bags, config, seed=s)[0].state() for s in (1, 1, 2))
    assert first[1] == second[1]
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert not all(torch.equal(first[0][name], other[0][name]) for name in first[0])


def test_the_global_random_state_is_left_as_it_was(shop, bags):
    before = torch.random.get_rng_state()
    trained(shop, bags, replace(SMALL, clone_steps=2, steps=2))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("killed_at", [3, 8, 13])
def test_a_killed_run_goes_on_to_the_same_weights(shop, bags, tmp_path, killed_at):
    config = replace(SMALL, clone_steps=6, steps=10, checkpoint_every=2)
    whole, metrics = trained(shop, bags, config)
    path = tmp_path / "generator.safetensors"

    def kill(done: int, total: int) -> None:
        if done == killed_at:
            raise KilledError

    with pytest.raises(KilledError):
        trained(shop, bags, config, checkpoint=path, progress=kill)
    again, resumed = trained(shop, bags, config, checkpoint=path)
    assert resumed["resumed_at"] == killed_at // 2 * 2
    assert {**resumed, "resumed_at": 0} == metrics
    expected, found = whole.state()[0], again.state()[0]
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_checkpoint_of_other_inputs_or_cut_short_is_not_gone_on_from(shop, bags, tmp_path):
    config = replace(SMALL, clone_steps=2, steps=2, checkpoint_every=1)
    path = tmp_path / "generator.safetensors"
    trained(shop, bags, config, checkpoint=path)
    _, metrics = trained(shop, bags, config, seed=5, checkpoint=path)
    assert metrics["resumed_at"] == 0
    path.write_bytes(path.read_bytes()[:100])
    _, metrics = trained(shop, bags, config, seed=5, checkpoint=path)
    assert metrics["resumed_at"] == 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def poisoned(shop: Shop) -> Shop:
    """Every product's last title promises much, and the reward model knows nothing of it."""
    alone, doubt = shop.truth.alone.copy(), shop.truth.doubt.copy()
    for product in sorted(set(shop.elements.product_id.tolist())):
        row = shop.elements.rows_of(product)[0][-1]
        alone[row], doubt[row] = 3.0, 0.9
    return Shop(shop.elements, replace(shop.truth, alone=alone, doubt=doubt))


def share_of_poison(generator, world: Shop) -> float:
    shares = []
    for product in sorted(set(world.elements.product_id.tolist())):
        space = space_of(product, world.elements, Rules())
        proposer = generator.over(world.elements, [space])
        context = {"device": np.array(["phone"], object), "hour": np.array([12.0])}
        rows = proposer.lattice.rows[:1]
        pieces = world.truth.pieces([product], context, world.elements, rows)
        asked = proposer.asked(np.zeros(1, np.int64), context, pieces)
        shown = proposer.sample(
            asked, torch.zeros(1, dtype=torch.int64), 400, np.random.default_rng(0)
        )[0, :, 0]
        shares.append(float((shown == len(space.candidates[0]) - 1).double().mean()))
    return float(np.mean(shares))


def test_a_bonus_outside_the_support_is_followed_only_without_the_gate(shop):
    world = poisoned(shop)
    logged = shop.bags(3000, seed=4)
    last = [shop.elements.rows_of(p)[0][-1] for p in sorted(set(logged.product_id.tolist()))]
    unseen = logged.take(np.flatnonzero(~np.isin(logged.element[:, 0], last)))
    config = replace(SMALL, steps=80, batch=64, kl_weight=0.3, kl_target=2.0)
    held = trained(world, unseen, config)[0]
    free = {"pessimism": 0.0, "support": 1e9, "least_shown": 0.0}
    plain = trained(world, unseen, replace(config, **free))[0]
    assert share_of_poison(held, world) < 0.15
    assert share_of_poison(plain, world) > 0.6


def test_a_reward_that_is_no_number_stops_the_training(shop, bags):
    alone = shop.truth.alone.copy()
    alone[shop.elements.rows_of("p001")[0][0]] = np.nan
    broken = Shop(shop.elements, replace(shop.truth, alone=alone))
    with pytest.raises(ValueError, match="no finite number"):
        trained(broken, bags, replace(SMALL, clone_steps=1, steps=5))


def test_bags_that_are_not_legal_today_are_counted_and_not_cloned(shop, bags):
    banned = Forbidden(None, "title", "t00", "image", "i00")
    _, metrics = trained(
        shop, bags, replace(SMALL, clone_steps=3, steps=3), Rules(forbidden=(banned,))
    )
    first = [[shop.elements.rows_of(p)[s][0] for s in (0, 1)] for p in bags.product_id]
    assert metrics["illegal_bags"] == (bags.element[:, :2] == np.array(first)).all(1).sum()


def test_a_product_without_a_legal_combination_does_not_stop_the_others(shop, bags):
    rules = Rules({"p001": ({"title": "gone"},)})
    _, metrics = trained(shop, bags, replace(SMALL, clone_steps=2, steps=2), rules)
    assert metrics["products_without_legal"] == 1
    assert metrics["illegal_bags"] == (bags.product_id == "p001").sum()


def test_bags_without_any_legal_combination_are_refused(shop, bags):
    nothing = Rules({f"p00{n}": ({"title": "gone"},) for n in range(5)})
    with pytest.raises(ValueError, match="none of the 5 products"):
        trained(shop, bags, rules=nothing)
    one = bags.take(np.flatnonzero(bags.product_id == "p000")[:1])
    names = [str(shop.elements.element_id[row]) for row in one.element[0]]
    rows = [str(e) for e in shop.elements.element_id[shop.elements.rows_of("p000")[0]]]
    other = next(name for name in rows if name != names[0])
    rest = dict(zip(shop.elements.slots[1:], names[1:], strict=True))
    with pytest.raises(ValueError, match="none of the 1 bags"):
        trained(shop, one, rules=Rules({"p000": ({"title": other, **rest},)}))


def test_clone_weights_are_uniform_over_logging_clipped_and_counts_where_unknown():
    weight = clone_weights(
        impressions=np.array([1.0, 2.0, 1.0, 5.0]),
        propensity=np.array([0.25, 0.5, 0.001, np.nan]),
        count=np.full(4, 4.0),
        clip=10.0,
    )
    np.testing.assert_allclose(weight, [1.0, 1.0, 10.0, 5.0])


def test_advantages_are_relative_to_the_supported_part_of_their_group():
    reward = torch.tensor([[1.0, 2.0, 9.0], [5.0, 5.0, 5.0]])
    supported = torch.tensor([[True, True, False], [True, True, True]])
    found = advantage(Signal(reward, supported))
    np.testing.assert_allclose(found[0], [-1.0, 1.0, 0.0], atol=0.01)
    assert (found[1] == 0).all()


def test_a_unit_of_divergence_costs_its_weight_at_the_target_and_in_proportion_elsewhere():
    config = replace(SMALL, kl_weight=3.0, kl_target=0.5)
    for kl, cost in ((0.5, 3.0), (1.0, 6.0), (0.0, 0.0)):
        means = torch.tensor([0.2, kl, 1.0, 0.1, 1.0], requires_grad=True)
        step_of(means, config).loss.backward()
        assert means.grad is not None
        np.testing.assert_allclose(means.grad[:3], [-1.0, cost, 0.0])


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="width 10 is not a multiple of heads 4"):
        GeneratorConfig(width=10)
    with pytest.raises(ValueError, match="group is 0"):
        GeneratorConfig(group=0)
