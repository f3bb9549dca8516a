"""Whatever the rules: what is listed, counted, masked and sampled are the legal combinations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_rules import legal_by_the_letter, worlds

from model.combinations import space_of
from model.generator.lattice import Lattice
from model.generator.policy import Proposer


def spaces_and_truth(shop, rules):
    """(spaces, their legal combinations), those of products without any being refused."""
    spaces, truth = [], []
    for product in sorted(set(shop.elements.product_id.tolist())):
        legal = legal_by_the_letter(product, shop.elements, rules)
        if not legal:
            with pytest.raises(ValueError, match="product"):
                space_of(product, shop.elements, rules)
            continue
        spaces.append(space_of(product, shop.elements, rules))
        truth.append(legal)
    return spaces, truth


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_a_space_lists_exactly_what_the_rules_allow(world):
    shop, rules = world
    for space, legal in zip(*spaces_and_truth(shop, rules), strict=True):
        listed = [tuple(row) for row in space.enumerate().tolist()]
        assert listed == sorted(legal)
        assert space.count() == len(legal)
        anything = np.random.default_rng(0).integers(-2, 6, (50, len(space.candidates)))
        expected = [tuple(row) in legal for row in anything.tolist()]
        assert space.legal(anything).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_every_node_that_can_be_reached_has_a_legal_completion(world):
    for space in spaces_and_truth(*world)[0]:
        reached, end = {0}, len(space.step) - 1
        for _ in space.candidates:
            after = [int(n) for node in reached for n in space.step[node] if n >= 0]
            assert all((space.step[node] >= 0).any() for node in reached)
            reached = set(after)
        assert reached == {end}


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_the_uniform_proposer_gives_every_legal_combination_the_same_chance(world):
    shop, rules = world
    spaces, truth = spaces_and_truth(shop, rules)
    if not spaces:
        return
    lattice = Lattice.pack(spaces)
    proposer = Proposer(lattice)
    which = np.arange(len(spaces))
    asked, every = proposer.asked(which, {}, None), torch.from_numpy(which)
    sampled = proposer.sample(asked, every, 40, np.random.default_rng(1)).numpy()
    for at, legal in enumerate(truth):
        assert {tuple(row) for row in sampled[at].tolist()} <= legal
    again = proposer.sample(asked, every, 5, np.random.default_rng(2))
    exact = proposer.log_prob(asked, every, again).exp()
    counts = np.array([len(legal) for legal in truth])
    np.testing.assert_allclose(exact.numpy() * counts[:, None], 1.0, rtol=1e-12)
