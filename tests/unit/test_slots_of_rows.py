"""Slot weights of judged rows: from bags, rules and drawn combinations to one weight a row."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from planted import planted
from random_rules import worlds

from components.evaluate_candidate import slots
from components.training_set import TrainingSet
from model.bags import Bags
from model.combinations import Forbidden, Rules, space_of

ROWS = 3000


def rows_of(bags: Bags, elements) -> TrainingSet:
    held_out = np.arange(len(bags)) >= len(bags) // 2
    return TrainingSet(bags, held_out, elements, pa.table({}))


def weighed(bags: Bags, elements, rules: Rules, drawn: np.ndarray) -> slots.SlotWeights:
    """The weights of all rows for a policy that draws `drawn` (S,) offsets of every product."""
    product = np.char.replace(bags.product_id.astype(str), "p", "").astype(int)
    shown = (product[:, None] * 8 + drawn)[:, None].astype(np.int32)
    known = slots.references(bags, rows_of(bags, elements), rules)
    return slots.slot_weights(known, bags, shown)


def test_weights_of_a_uniform_log_are_those_worked_by_hand():
    """Two slots of four: w = 1 + (4 [a_1 = its] - 1) + (4 [a_2 = its] - 1), which is 7, 3 or -1."""
    world = planted(rows=ROWS)
    found = weighed(world.bags, world.elements, Rules(), np.array([1, 6]))
    place = world.bags.element % 8
    by_hand = 4.0 * (place[:, 0] == 1) + 4.0 * (place[:, 1] == 6) - 1
    np.testing.assert_allclose(found.pseudo_inverse, by_hand, atol=1e-9)
    np.testing.assert_allclose(found.independent, by_hand, atol=1e-9)
    assert slots.wanting(world.bags, found) is None


def test_a_combination_outside_of_the_rules_has_no_weight():
    world = planted(rows=ROWS)
    rules = Rules(forbidden=(Forbidden(None, "title", "title0", "image", "image0"),))
    found = weighed(world.bags, world.elements, rules, np.array([1, 6]))
    place = world.bags.element % 8
    out = (place[:, 0] == 0) & (place[:, 1] == 4)
    assert out.any()
    assert (found.pseudo_inverse[out] == 0).all()
    # each of 15 legal ones stands for 16/15 of what a uniform log over 16 shows
    assert found.pseudo_inverse.mean() == pytest.approx(1, abs=0.1)


def test_rows_without_a_propensity_have_no_weight_and_it_says_how_many():
    world = planted(rows=ROWS)
    some = np.where(np.arange(ROWS) % 10 == 0, np.nan, world.bags.propensity)
    bags = replace(world.bags, propensity=some)
    found = weighed(bags, world.elements, Rules(), np.array([1, 6]))
    assert np.isnan(found.pseudo_inverse).sum() == ROWS // 10
    assert "300 of 3,000 displays" in slots.wanting(bags, found)


def test_products_with_more_combinations_than_are_listed_have_no_weight(monkeypatch):
    monkeypatch.setattr(slots, "LISTED", 15)
    world = planted(rows=ROWS)
    found = weighed(world.bags, world.elements, Rules(), np.array([1, 6]))
    assert np.isnan(found.pseudo_inverse).all()
    assert "more than 15 combinations" in slots.wanting(world.bags, found)


def test_the_reference_leans_toward_a_log_that_is_not_uniform_and_not_toward_one_that_is():
    world = planted(rows=ROWS)
    even = slots.references(world.bags, rows_of(world.bags, world.elements), Rules())
    assert even["p0"].reference.chance == pytest.approx(np.full(16, 1 / 16))
    first = np.array([0.55, 0.15, 0.15, 0.15])
    rng = np.random.default_rng(0)
    picks = np.stack([rng.choice(4, ROWS, p=first), rng.choice(4, ROWS, p=first)], axis=1)
    start = world.bags.element // 8 * 8
    lean = replace(
        world.bags,
        element=(start + np.array([0, 4]) + picks).astype(np.int32),
        propensity=first[picks].prod(1),
    )
    found = slots.references(lean, rows_of(lean, world.elements), Rules())["p0"].reference
    assert found.chance.max() == pytest.approx(0.55**2, abs=0.08)
    assert found.chance.min() > 0


@settings(max_examples=25, deadline=None)
@given(world=worlds())
def test_whatever_the_rules_a_uniform_log_gives_a_mean_weight_of_one(world):
    """Every legal combination once; the policy always shows the product's last one."""
    shop, rules = world
    for product in np.unique(shop.elements.product_id):
        try:
            space = space_of(product, shop.elements, rules)
        except ValueError:
            continue
        shown = space.rows(space.enumerate())
        bags = some_bags(product, shown, 1 / len(shown))
        known = slots.references(bags, rows_of(bags, shop.elements), rules)
        drawn = np.repeat(shown[None, -1:], len(shown), axis=0)
        found = slots.slot_weights(known, bags, drawn).pseudo_inverse
        assert found.mean() == pytest.approx(1, abs=1e-9)
        effect = np.random.default_rng(0).normal(size=(len(shop.elements) + 1,))
        reward = effect[shown].sum(1)
        assert (found * reward).mean() == pytest.approx(reward[-1], abs=1e-8)


def some_bags(product: str, element: np.ndarray, propensity: float) -> Bags:
    rows = len(element)
    ones, zeros = np.ones(rows), np.zeros(rows)
    return Bags(
        product_id=np.full(rows, product, object),
        cluster_id=np.arange(rows).astype(str).astype(object),
        policy=np.full(rows, "log", object),
        context={},
        element=element,
        propensity=np.full(rows, propensity),
        impressions=ones,
        clicks=zeros,
        conversions=zeros,
        value=zeros,
        click_mature=ones.astype(bool),
        conversion_mature=ones.astype(bool),
        history=np.zeros((*element.shape, 0), np.float32),
    )
