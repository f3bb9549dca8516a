"""What elements earn: exact over the other slots, ranked, with intervals, and said in the card."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from planted import CONTEXT, Planted, halves, planted

from components.register_version.card import model_card
from model.attribution import attribution_table
from model.bags import Bags
from model.elements import Elements
from model.reward.config import RewardConfig
from model.reward.fit import Reward, fit_reward
from pipelines.explaining import explained, explained_words

QUICK = RewardConfig(members=4, steps=120, buckets=512)


def learn(world: Planted, config: RewardConfig = QUICK) -> Reward:
    return fit_reward(*halves(world.bags), world.elements, CONTEXT, config, seed=0)


@pytest.fixture(scope="module")
def world() -> Planted:
    return planted(rows=8000)


@pytest.fixture(scope="module")
def reward(world: Planted) -> Reward:
    return learn(world)


def every_combination(world: Planted) -> Bags:
    """A row for each title with each image of its product, of whose context nothing is known."""
    product, title, image = np.indices((6, 4, 4)).reshape(3, -1)
    rows = world.bags.take(np.zeros(len(product), np.int64))
    return replace(
        rows,
        product_id=np.array([f"p{p}" for p in product], object),
        element=np.stack([product * 8 + title, product * 8 + 4 + image], 1).astype(np.int32),
        context={"device": np.full(96, "", object), "hour": np.full(96, np.nan)},
    )


def test_a_contribution_is_the_mean_over_all_company(reward: Reward, world: Planted) -> None:
    bags = every_combination(world)
    found = reward.attribution(bags, world.elements).element
    mean = np.zeros(len(world.elements))
    np.add.at(mean, bags.element.ravel(), found.ravel() / 4)
    assert np.abs(reward.earnings(world.elements).contribution - mean).max() < 1e-5


def test_contributions_of_a_combination_make_its_usual_rate(reward: Reward, world: Planted) -> None:
    """Over all of a product's combinations the mean log-odds is that of the usual rate."""
    bags = every_combination(world)
    click = reward.predict(bags, world.elements).click
    odds = np.log(click / (1 - click)).reshape(6, -1).mean(1)
    usual = reward.earnings(world.elements).usual.reshape(6, -1)[:, 0]
    assert np.allclose(np.log(usual / (1 - usual)), odds, atol=1e-4)


def test_rows_are_ranked_within_slots_and_gaps_cancel(reward: Reward, world: Planted) -> None:
    table = attribution_table(reward, world.elements)
    assert len(table) == len(world.elements)
    contribution = table["contribution"].to_numpy().reshape(-1, 4)
    assert (np.diff(contribution, axis=1) <= 0).all()
    gap = reward.earnings(world.elements).gap.reshape(-1, 4)
    assert np.abs(gap.sum(1)).max() < 1e-5
    low, high = table["per_1000_low"].to_numpy(), table["per_1000_high"].to_numpy()
    assert (low < table["per_1000"].to_numpy()).all()
    assert (table["per_1000"].to_numpy() < high).all()


def test_what_elements_earn_is_what_was_planted(reward: Reward, world: Planted) -> None:
    truth = world.effect.reshape(-1, 4)
    gap = reward.earnings(world.elements).gap
    assert np.corrcoef(gap, (truth - truth.mean(1, keepdims=True)).ravel())[0, 1] > 0.85


def test_an_elements_earnings_do_not_depend_on_other_products(
    reward: Reward, world: Planted
) -> None:
    mine = np.flatnonzero(world.elements.product_id == "p3")
    alone = reward.earnings(world.elements.take(mine))
    together = reward.earnings(world.elements)
    assert np.allclose(alone.gap, together.gap[mine], atol=1e-6)
    assert np.allclose(alone.usual, together.usual[mine], atol=1e-6)


def test_a_single_member_claims_no_interval(world: Planted) -> None:
    single = learn(world, replace(QUICK, members=1, steps=40))
    table = attribution_table(single, world.elements)
    assert table["low"].null_count == len(table)
    assert table["per_1000"].null_count == 0
    told = explained(single, product(world, "p2"))
    assert [row["differs"] for row in told["elements"]] == [None] * 8
    assert "no intervals: the model has one member" in explained_words(told)


def product(world: Planted, name: str) -> Elements:
    return world.elements.take(np.flatnonzero(world.elements.product_id == name))


def test_a_product_is_explained_in_words_that_stand_alone(reward: Reward, world: Planted) -> None:
    """What is counted, from what level, against what, how sure; columns stand below each other."""
    elements = product(world, "p1")
    long = replace(elements, element_id=elements.element_id.copy())
    long.element_id[0] = "an-identity-of-more-than-two-dozen-letters"
    told = explained(reward, long)
    usual = reward.earnings(long).usual[0]
    words = explained_words(told).splitlines()
    assert words[0] == f"p1: {1000 * usual:.1f} clicks of 1,000 displays with average elements."
    apart = sum(row["differs"] for row in told["elements"])
    assert 0 < apart < 8
    assert f"* where it excludes 0 ({apart} of 8)" in words[1]
    assert [w for w in words if w in ("title", "image")] == ["title", "image"]
    listed = [w for w in words if w[:1] in "* " and w]
    assert sum(w.startswith("*") for w in listed) == apart
    assert len({w.index(" item ") - len(str(r["text"]).split(" item ")[0])
                for w, r in zip(listed, told["elements"], strict=True)}) == 1  # fmt: skip


def test_the_card_ranks_the_elements_of_the_products_that_differ_most(
    reward: Reward, world: Planted
) -> None:
    table = attribution_table(reward, world.elements)
    bundle = SimpleNamespace(
        config={
            "name": "shop", "ds": "2026-11-22", "target": "click", "seed": 0, "mixture": {},
            "feature_service": {"name": "f", "fingerprint": "1"},
        },
        slots=("title", "image"), elements=world.elements, context=CONTEXT,
    )  # fmt: skip
    interval = {"value": 0.9, "low": 0.8, "high": 1.1}
    facts = {"reward_model": {"challenger": {"calibration_slope": interval}}}
    card = model_card(bundle, facts, table)  # type: ignore[arg-type]
    assert "| calibration_slope | 0.9 | 0.8 | 1.1 |" in card
    spans = {
        p: np.ptp(table.filter(pa.compute.equal(table["product_id"], p))["per_1000"].to_numpy())
        for p in sorted(set(table["product_id"].to_pylist()))
    }
    least = min(spans, key=lambda p: spans[p])
    assert f"| {least} |" not in card
    assert sum(f"| {p} | title |" in card for p in spans) == 5
    none = model_card(bundle, facts, table.slice(0, 0))  # type: ignore[arg-type]
    assert "attribution.parquet" in none
