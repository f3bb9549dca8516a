"""Laws of the reward model on a world whose effects are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CONTEXT, SLOTS, Planted, halves, planted, without_clicks

from model.elements import Elements
from model.reward.encode import encode
from model.reward.fit import Reward, RewardConfig, fit_reward

QUICK = RewardConfig(members=2, steps=80, buckets=512, learning_rate=0.05)


def learn(world: Planted, config: RewardConfig = QUICK, seed: int = 0) -> Reward:
    train, tuned = halves(world.bags)
    return fit_reward(train, tuned, world.elements, CONTEXT, config, seed=seed)


@pytest.fixture(scope="module")
def world() -> Planted:
    return planted()


@pytest.fixture(scope="module")
def reward(world: Planted) -> Reward:
    return learn(world)


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def own_effects(reward: Reward, world: Planted) -> np.ndarray:
    """(m,) mean attribution of each element over the bags that show it."""
    found = reward.attribution(world.bags, world.elements).element
    total, seen = np.zeros(len(world.elements)), np.zeros(len(world.elements))
    np.add.at(total, world.bags.element.ravel(), found.ravel())
    np.add.at(seen, world.bags.element.ravel(), 1)
    return total / seen


def centred(values: np.ndarray) -> np.ndarray:
    """Effects within a product's slot, whose level is not identified."""
    return (values.reshape(-1, 4) - values.reshape(-1, 4).mean(1, keepdims=True)).ravel()


def test_attribution_sums_to_the_predicted_log_odds(reward: Reward, world: Planted) -> None:
    parts = reward.attribution(world.bags, world.elements)
    total = parts.base + parts.product + parts.context + parts.element.sum(1) + parts.interaction
    expected = logit(reward.predict(world.bags, world.elements).click)
    assert np.abs(total - expected).max() < 1e-4


def test_planted_effects_are_recovered(reward: Reward, world: Planted) -> None:
    found, truth = centred(own_effects(reward, world)), centred(world.effect)
    assert np.corrcoef(found, truth)[0, 1] > 0.9


def test_predictions_are_calibrated_on_rows_it_never_saw(reward: Reward, world: Planted) -> None:
    fresh = planted(seed=0, rows=20_000)
    later = fresh.bags.take(np.arange(10_000, 20_000))
    predicted = reward.predict(later, fresh.elements).click
    assert abs(predicted.mean() - later.clicks.mean()) < 0.02


def test_a_state_read_back_predicts_the_same_bits(reward: Reward, world: Planted) -> None:
    again = Reward.from_state(*reward.state())
    one = reward.predict(world.bags, world.elements)
    two = again.predict(world.bags, world.elements)
    assert np.array_equal(one.click, two.click)
    assert np.array_equal(one.click_spread, two.click_spread)


def test_the_same_seed_gives_the_same_weights(world: Planted) -> None:
    short = replace(QUICK, steps=10)
    first, second = learn(world, short).state()[0], learn(world, short).state()[0]
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = learn(world, short, seed=1).state()[0]
    assert not torch.equal(first["own"], other["own"])


def test_pieces_score_what_predict_predicts(reward: Reward, world: Planted) -> None:
    rows = world.bags.take(np.arange(50))
    spots = [world.elements.rows_of(str(p)) for p in rows.product_id]
    candidates = np.stack([np.stack(slots) for slots in spots]).astype(np.int32)
    local = (rows.element[:, :, None] == candidates).argmax(2)
    pieces = reward.pieces(list(rows.product_id), rows.context, world.elements, candidates)
    mean, spread = pieces.score(torch.from_numpy(local)[:, None].long())
    expected = reward.predict(rows, world.elements)
    assert np.abs(mean[:, 0].numpy() - expected.reward).max() < 1e-6
    assert np.abs(spread[:, 0].numpy() - expected.click_spread).max() < 1e-6


def test_the_order_of_rows_does_not_matter_to_a_prediction(reward: Reward, world: Planted) -> None:
    order = np.random.default_rng(1).permutation(len(world.bags))
    straight = reward.predict(world.bags, world.elements).click
    shuffled = reward.predict(world.bags.take(order), world.elements).click
    assert np.allclose(straight[order], shuffled, atol=1e-7)


def test_doubling_a_products_appeal_leaves_its_elements_where_they_were(world: Planted) -> None:
    """Appeal is the product's: thinning the clicks of one product must not move its elements."""
    base = own_effects(learn(world), world)
    rng = np.random.default_rng(2)
    kept = (world.bags.product_id != "p0") | (rng.random(len(world.bags)) < 0.5)
    thinned = replace(world.bags, clicks=world.bags.clicks * kept)
    moved = own_effects(learn(replace(world, bags=thinned)), world)
    mine = world.elements.product_id == "p0"
    assert np.abs(centred(moved)[mine] - centred(base)[mine]).max() < 0.3


def test_new_elements_are_scored_by_what_they_say(reward: Reward, world: Planted) -> None:
    import pyarrow as pa

    told = {
        "product_id": ["p0", "p0"],
        "slot": ["title", "title"],
        "element_id": ["n1", "n2"],
        "text": ["free bold", "plain last"],
    }
    fresh = world.elements.concat(Elements.from_table(pa.table(told), SLOTS))
    rows = world.bags.take(np.flatnonzero(world.bags.product_id == "p0")[[0, 0]])
    places = fresh.find(np.array(["p0", "p0"], object), 0, np.array(["n1", "n2"], object))
    image = fresh.find(np.array(["p0"], object), 1, np.array(["image0"], object))[0]
    rows = replace(rows, element=np.array([[places[0], image], [places[1], image]], np.int32))
    click = reward.predict(rows, fresh).click
    assert np.isfinite(click).all()
    assert abs(click[0] - click[1]) > 1e-5


def test_a_world_without_clicks_is_refused_with_the_reason(world: Planted) -> None:
    train, tuned = halves(without_clicks(world.bags))
    with pytest.raises(ValueError, match="no click in"):
        fit_reward(train, tuned, world.elements, CONTEXT, QUICK, seed=0)


def test_labels_that_are_not_final_are_not_learned_from(world: Planted) -> None:
    young = replace(world.bags, click_mature=np.zeros(len(world.bags), bool))
    with pytest.raises(ValueError, match="final click label"):
        fit_reward(*halves(young), world.elements, CONTEXT, QUICK, seed=0)


def test_a_target_that_never_happened_is_refused(world: Planted) -> None:
    with pytest.raises(ValueError, match="no display converted"):
        learn(world, replace(QUICK, target="conversion"))


def test_one_product_with_one_combination_trains(world: Planted) -> None:
    only = world.bags.take(np.flatnonzero((world.bags.element == [0, 4]).all(1)))
    rate = learn(replace(world, bags=only)).predict(only, world.elements).click
    assert abs(rate.mean() - only.clicks.mean()) < 0.1


def test_counts_teach_what_single_rows_teach(world: Planted) -> None:
    """Four copies of a row and one row of four displays are the same evidence."""
    some = world.bags.take(np.arange(3000))
    fourfold = some.take(np.repeat(np.arange(3000), 4))
    counted = replace(some, impressions=4 * some.impressions, clicks=4 * some.clicks)
    plain = replace(QUICK, members=1, dispersion=1.0, steps=60, batch=16384)
    predictions = [
        fit_reward(bags, bags.take(np.arange(0)), world.elements, CONTEXT, plain, seed=0)
        .predict(some, world.elements)
        .click
        for bags in (fourfold, counted)
    ]
    assert np.abs(predictions[0] - predictions[1]).max() < 5e-3


def test_training_and_attribution_see_the_same_log_odds(world: Planted, reward: Reward) -> None:
    """The sums that training takes equal the parts that attribution shows."""
    some = world.bags.take(np.arange(200))
    some.element[::7, 1] = -1
    network = reward._network
    used = np.arange(len(world.elements))
    inputs = reward._encoding.element_inputs(world.elements.take(used))
    outputs = network.elements(inputs)
    outputs = replace(outputs, pair=outputs.pair + 0.3, context=outputs.context - 0.2)
    batch = encode(reward._encoding, some, some.element)
    for head in (0, 1):
        terms = network.terms(outputs, batch, head)
        whole, within = network.logits(outputs, batch, head)
        assert torch.allclose(whole, terms.total(), atol=1e-5)
        assert torch.allclose(within, terms.total() - terms.product, atol=1e-5)
