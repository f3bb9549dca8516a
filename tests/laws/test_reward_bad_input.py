"""Bad input is learned from sensibly or refused with the reason; the loss never goes on as NaN."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from planted import CONTEXT, SLOTS, Planted, halves, planted

from model.elements import Elements
from model.reward.config import RewardConfig
from model.reward.fit import Reward, fit_reward
from model.reward.network import learning_gib

QUICK = RewardConfig(members=2, steps=60, buckets=512, learning_rate=0.05)
MANY = 250_000  # more than are read ahead


@pytest.fixture(scope="module")
def world() -> Planted:
    return planted(rows=6000)


def learn(world: Planted, config: RewardConfig = QUICK) -> Reward:
    return fit_reward(*halves(world.bags), world.elements, CONTEXT, config, seed=0)


def is_sensible(reward: Reward, world: Planted) -> bool:
    """Finite probabilities whose mean is near the rate, and attributions that are numbers."""
    told = reward.predict(world.bags, world.elements).click
    parts = reward.attribution(world.bags, world.elements)
    rate = world.bags.clicks.sum() / world.bags.impressions.sum()
    known = np.isfinite(parts.element).all() and np.isfinite(parts.spread).all()
    expected = np.average(told, weights=world.bags.impressions)
    return bool(known and (told > 0).all() and (told < 1).all() and abs(expected - rate) < 0.03)


def by_title(world: Planted, found: np.ndarray) -> np.ndarray:
    """(24, S) mean contribution of each slot by the title shown, less the product's mean."""
    titles = np.unique(world.bags.element[:, 0])
    mean = np.stack([found[world.bags.element[:, 0] == title].mean(0) for title in titles])
    each = mean.reshape(6, -1, 2)
    return (each - each.mean(1, keepdims=True)).reshape(-1, 2)


def test_one_arm_a_product_teaches_the_products_rates(world: Planted) -> None:
    one_arm = world.bags.element // 4 * 4
    alone = replace(world, bags=replace(world.bags, element=one_arm.astype(np.int32)))
    reward = learn(alone)
    assert is_sensible(reward, alone)
    told = reward.predict(alone.bags, alone.elements).click
    for product in np.unique(alone.bags.product_id):
        mine = alone.bags.product_id == product
        assert abs(told[mine].mean() - alone.bags.clicks[mine].mean()) < 0.05


def test_a_slot_that_is_always_the_same_gets_little_of_the_differences(world: Planted) -> None:
    same = world.bags.element.copy()
    same[:, 1] = same[:, 1] // 4 * 4
    fixed = replace(world, bags=replace(world.bags, element=same))
    reward = learn(fixed, RewardConfig(buckets=512))
    assert is_sensible(reward, fixed)
    apart = by_title(fixed, reward.attribution(fixed.bags, fixed.elements).element)
    assert apart[:, 1].std() < 0.3 * apart[:, 0].std()
    truth = world.effect.reshape(6, 2, 4)[:, 0]
    assert np.corrcoef(apart[:, 0], (truth - truth.mean(1, keepdims=True)).ravel())[0, 1] > 0.8


def test_elements_without_any_content_are_told_apart_by_their_ids(world: Planted) -> None:
    blank = np.full(len(world.elements), "", object)
    bare = replace(world, elements=replace(world.elements, text=blank, attributes=blank))
    reward = learn(bare, replace(QUICK, scale_id=0.3))
    assert is_sensible(reward, bare)
    found = reward.attribution(bare.bags, bare.elements).element
    truth = bare.effect[bare.bags.element]
    assert np.corrcoef(found.sum(1), truth.sum(1))[0, 1] > 0.4


def embedded(rows: list[list[float]]) -> pa.Table:
    count = len(rows)
    return pa.table(
        {
            "product_id": ["p0"] * count,
            "slot": ["title"] * count,
            "element_id": [f"e{n}" for n in range(count)],
            "embedding": pa.array(rows, pa.list_(pa.float32())),
        }
    )


def test_an_embedding_of_another_length_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="length than 2, first: element e2 of product p0 with 3"):
        Elements.from_table(embedded([[1, 2], [3, 4], [5, 6, 7]]), SLOTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_embedding_that_is_no_number_is_refused_by_its_name(value: float) -> None:
    with pytest.raises(ValueError, match="not finite, first: element e1 of product p0"):
        Elements.from_table(embedded([[1, 2], [3, value]]), SLOTS)


def test_embeddings_of_another_encoder_are_refused_when_asked(world: Planted) -> None:
    rng = np.random.default_rng(0)
    wide = np.where(world.elements.slot[:, None] == 1, rng.normal(size=(48, 3)), 0)
    seen = replace(world.elements, embedding=(None, wide.astype(np.float32)))
    reward = learn(replace(world, elements=seen))
    other = replace(seen, embedding=(None, wide[:, :2].astype(np.float32)))
    with pytest.raises(ValueError, match="length 2, expected 3"):
        reward.predict(world.bags, other)


def test_an_extreme_embedding_is_learned_from_without_losing_numbers(world: Planted) -> None:
    wild = np.where(world.elements.slot[:, None] == 1, np.eye(48, 4) * 1e12, 0)
    loud = replace(world, elements=replace(world.elements, embedding=(None, wild.astype("f4"))))
    assert is_sensible(learn(loud), loud)


def test_a_loss_that_is_no_number_is_refused_and_not_learned_on(world: Planted) -> None:
    """A count that is no number reaches the loss; training stops and says at which step."""
    broken = world.bags.clicks.copy()
    broken[7] = np.nan
    with pytest.raises(ValueError, match=r"loss is nan at step \d+|not numbers"):
        learn(replace(world, bags=replace(world.bags, clicks=broken)))


def test_one_product_is_enough(world: Planted) -> None:
    one = replace(world, bags=world.bags.take(np.flatnonzero(world.bags.product_id == "p0")))
    reward = learn(one)
    assert is_sensible(reward, one)
    elsewhere = reward.predict(world.bags, world.elements).click
    assert np.isfinite(elsewhere).all()


def test_no_final_label_in_the_tuning_rows_is_no_obstacle(world: Planted) -> None:
    train, tuning = halves(world.bags)
    young = replace(tuning, click_mature=np.zeros(len(tuning), bool))
    reward = fit_reward(train, young, world.elements, CONTEXT, QUICK, seed=0)
    assert is_sensible(reward, world)


def test_labels_that_are_not_final_change_no_prediction(world: Planted) -> None:
    """Clicks of young rows may be anything: they are not learned from."""
    young = np.arange(len(world.bags)) % 3 == 0
    flags = replace(world.bags, click_mature=~young)
    all_clicked = replace(flags, clicks=np.where(young, 1.0, flags.clicks))
    told = [
        learn(replace(world, bags=bags)).predict(world.bags, world.elements).click
        for bags in (flags, all_clicked)
    ]
    assert np.abs(told[0] - told[1]).max() < 1e-3


def test_more_elements_than_memory_holds_are_refused_before_a_weight_is_made(
    world: Planted,
) -> None:
    """Five million shown elements take more than the default allows; the sentence says what to do."""
    assert learning_gib(5_000_000, 100_000, RewardConfig()) > RewardConfig().most_gib
    assert learning_gib(1_000_000, 100_000, RewardConfig()) < RewardConfig().most_gib
    with pytest.raises(ValueError, match=r"learning 48 elements.*at most 1e-06; lower members"):
        learn(world, replace(QUICK, most_gib=1e-6))


def test_a_catalog_of_many_elements_trains_and_predicts(world: Planted) -> None:
    """Few of them were shown; the rest cost no weights and are scored by what they say."""
    count = MANY - len(world.elements)
    more = Elements.from_table(
        pa.table(
            {
                "product_id": [f"q{n // 8}" for n in range(count)],
                "slot": [SLOTS[n // 4 % 2] for n in range(count)],
                "element_id": [f"e{n % 8}" for n in range(count)],
                "text": [f"plain bold {n % 97}" for n in range(count)],
            }
        ),
        SLOTS,
    )
    wide = replace(world, elements=world.elements.concat(more))
    reward = learn(wide)
    assert is_sensible(reward, wide)
    assert len(reward.state()[0]["own"]) == len(world.elements) + 1
    at = np.array([[len(world.elements), len(world.elements) + 4]], np.int32)
    stranger = replace(world.bags.take(np.arange(1)), element=at)
    assert 0 < reward.predict(stranger, wide.elements).click[0] < 1
