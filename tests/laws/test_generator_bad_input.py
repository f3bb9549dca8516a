"""Bad input: a clear refusal or the documented fallback, never an illegal combination."""

from dataclasses import replace

import numpy as np
import pytest
from tabular_reward import CONTEXT, Shop, TabularReward, elements_of, shop_of
from untrained import untrained

from model.combinations import Forbidden, Rules
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.serving import Mixture, ServingPolicy

ASKED = {"device": "phone", "hour": 9.0}
MIXTURE = Mixture(explore=0.3, uniform=0.2, temperature=0.01)
TINY = GeneratorConfig(
    width=16, heads=2, clone_steps=3, steps=4, clone_batch=32, batch=8, group=4, pool=32, probe=8
)


def shop_with(counts, slots=("title", "image", "tag")) -> Shop:
    elements = elements_of(counts, slots, seed=0)
    rng, rows = np.random.default_rng(1), len(elements)
    device = rng.normal(0, 0.2, (rows, 3))
    alone, together = rng.normal(0, 0.3, rows), rng.normal(0, 0.2, (rows, 2))
    return Shop(elements, TabularReward(-3.0, alone, device, together, np.full(rows, 0.02)))


def policy_of(shop, rules=Rules()):  # noqa: B008
    generator = untrained(shop, seed=1)
    return ServingPolicy(shop.truth, generator, shop.elements, rules, MIXTURE, CONTEXT)


def chosen(policy, product, context=ASKED, times=200):
    rng = np.random.default_rng(0)
    return [policy.choose(product, context, rng) for _ in range(times)]


def test_a_product_without_candidates_is_refused_and_does_not_stop_training():
    shop = shop_with({"p0": (3, 3, 2), "p1": (2, 2, 2)})
    with pytest.raises(ValueError, match="'p9' has no candidate element in any of the slots"):
        policy_of(shop).choose("p9", ASKED, np.random.default_rng(0))
    bags = shop.bags(200, seed=0)
    lost = np.arange(200) % 5 == 0
    strange = replace(
        bags,
        product_id=np.where(lost, "p9", bags.product_id).astype(object),
        element=np.where(lost[:, None], -1, bags.element).astype(np.int32),
    )
    given = (shop.elements, Rules(), shop.truth, CONTEXT, TINY)
    _, metrics = fit_generator(strange, *given, seed=0)
    assert metrics["products_without_legal"] == 1
    assert metrics["illegal_bags"] == lost.sum()


def test_a_slot_whose_candidates_are_all_forbidden_is_left_empty_or_refused():
    shop = shop_with({"p0": (3, 2, 2)})
    banned = tuple(Forbidden("p0", "tag", f"t0{k}", "tag", f"t0{k}") for k in range(2))
    with pytest.raises(ValueError, match="no combination of product 'p0' is legal"):
        policy_of(shop, Rules(forbidden=banned)).choose("p0", ASKED, np.random.default_rng(0))
    shown = chosen(policy_of(shop, Rules(forbidden=banned, optional=frozenset({"tag"}))), "p0")
    assert all(set(combination) == {"title", "image"} for combination, _ in shown)
    assert all(0 < propensity <= 1 for _, propensity in shown)


def test_an_allow_list_that_forbidden_pairs_contradict_keeps_the_rest_or_is_refused():
    shop = shop_with({"p0": (3, 2, 2)})
    first = {"title": "t00", "image": "i00", "tag": "t00"}
    second = {"title": "t01", "image": "i01", "tag": "t01"}
    pair = (Forbidden(None, "title", "t00", "image", "i00"),)
    shown = chosen(policy_of(shop, Rules({"p0": (first, second)}, pair)), "p0", times=50)
    assert all(found == (second, pytest.approx(1.0)) for found in shown)
    with pytest.raises(ValueError, match="none of the 1 allowed combinations of product 'p0'"):
        policy_of(shop, Rules({"p0": (first,)}, pair)).choose("p0", ASKED, np.random.default_rng(0))


@pytest.mark.parametrize(
    "context", [{"device": "fridge", "hour": 9.0}, {"device": "", "hour": float("nan")}, {}]
)
def test_a_context_never_seen_has_a_distribution_that_sums_to_one(context):
    shop = shop_with({"p0": (3, 3, 2)})
    policy = policy_of(shop)
    found = policy.distribution("p0", context)
    assert found.probability.sum() == pytest.approx(1.0, abs=1e-9)
    assert (found.probability > 0).all()
    combination, propensity = chosen(policy, "p0", context, times=1)[0]
    place = found.combinations.index(combination)
    assert propensity == pytest.approx(found.probability[place], rel=1e-9)


def test_a_thousand_candidates_in_a_slot_are_all_legal_choices_with_their_propensity():
    shop = shop_with({"p0": (1000, 2, 2)})
    policy = policy_of(shop)
    found = policy.distribution("p0", ASKED)
    assert len(found.combinations) == 4000
    assert found.probability.sum() == pytest.approx(1.0, abs=1e-9)
    chance = {tuple(sorted(c.items())): p for c, p in zip(
        found.combinations, found.probability, strict=True
    )}  # fmt: skip
    for combination, propensity in chosen(policy, "p0", times=20):
        expected = chance[tuple(sorted(combination.items()))]
        assert propensity == pytest.approx(expected, rel=1e-9)


def test_an_element_added_after_training_can_be_shown_and_is_in_the_distribution():
    shop = shop_of(2, (3, 3), seed=2, slots=3)
    generator = untrained(shop, seed=1)
    grown = elements_of({"p000": (4, 3, 3), "p001": (3, 3, 3)}, shop.elements.slots, seed=9)
    truth = shop_with({"p000": (4, 3, 3), "p001": (3, 3, 3)}, shop.elements.slots).truth
    policy = ServingPolicy(truth, generator, grown, Rules(), MIXTURE, CONTEXT)
    found = policy.distribution("p000", ASKED)
    newer = np.array([c["title"] == "t03" for c in found.combinations])
    assert found.probability.sum() == pytest.approx(1.0, abs=1e-9)
    assert newer.sum() == 9
    assert (found.probability[newer] > 0).all()


def test_a_reward_that_is_no_number_is_refused_when_serving():
    shop = shop_with({"p0": (3, 3, 2)})
    alone = shop.truth.alone.copy()
    alone[0] = np.nan
    with pytest.raises(ValueError, match="no finite number"):
        policy_of(replace(shop, truth=replace(shop.truth, alone=alone))).choose(
            "p0", ASKED, np.random.default_rng(0)
        )
