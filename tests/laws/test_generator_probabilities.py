"""The generator is a distribution over the legal combinations, exact to the last digits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_rules import shop_with, worlds
from tabular_reward import Shop, context_of, elements_of, shop_of
from untrained import untrained

from model.combinations import Forbidden, Rules, space_of
from model.generator.decode import drawn
from model.generator.hints import Caution, hints
from model.generator.lattice import Lattice
from model.generator.policy import Generator, Hide, Shelf
from model.generator.search import beam_top, exact_top, score

REQUESTS = 3


def legal_spaces(shop, rules):
    found = []
    for product in sorted(set(shop.elements.product_id.tolist())):
        try:
            found.append(space_of(product, shop.elements, rules))
        except ValueError:
            continue
    return found


def bound_to(shop, rules, seed=0, generator=None):
    """(proposer, requests, each one's legal combinations) for some contexts of every product."""
    spaces = legal_spaces(shop, rules)
    if not spaces:
        return None
    proposer = (generator or untrained(shop, seed)).over(shop.elements, spaces)
    product = np.repeat(np.arange(len(spaces)), REQUESTS)
    context = context_of(len(product), np.random.default_rng(seed))
    names = [spaces[at].product_id for at in product]
    rows = proposer.lattice.rows[product]
    pieces = shop.truth.pieces(names, context, shop.elements, rows)
    listed = [torch.from_numpy(spaces[at].enumerate().astype(np.int64)) for at in product]
    return proposer, proposer.asked(product, context, pieces), pieces, listed


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_probabilities_sum_to_one_over_the_legal_combinations(world):
    bound = bound_to(*world)
    if bound is None:
        return
    proposer, asked, _, listed = bound
    for at, rows in enumerate(listed):
        exact = proposer.log_prob(asked, torch.tensor([at]), rows[None])[0]
        assert torch.isfinite(exact).all()
        assert float(exact.exp().sum()) == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_a_combination_has_probability_zero_if_and_only_if_it_is_illegal(world):
    bound = bound_to(*world)
    if bound is None:
        return
    proposer, asked, _, listed = bound
    slots = proposer.lattice.slots
    anything = torch.from_numpy(np.random.default_rng(0).integers(-3, 6, (len(listed), 40, slots)))
    exact = proposer.log_prob(asked, torch.arange(len(listed)), anything)
    for at, rows in enumerate(listed):
        legal = {tuple(row) for row in rows.tolist()}
        expected = [tuple(row) in legal for row in anything[at].tolist()]
        assert (exact[at].exp() > 0).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_a_beam_as_wide_as_the_space_is_the_sorted_distribution(world):
    bound = bound_to(*world)
    if bound is None:
        return
    proposer, asked, _, listed = bound
    beam = proposer.beam(asked, max(len(rows) for rows in listed) * 5)
    for at, rows in enumerate(listed):
        exact = proposer.log_prob(asked, torch.tensor([at]), rows[None])[0]
        found = beam.log_prob[at][torch.isfinite(beam.log_prob[at])]
        np.testing.assert_allclose(found, exact.sort(descending=True).values, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_no_combination_outside_a_beam_beats_its_bound(world):
    bound = bound_to(*world)
    if bound is None:
        return
    proposer, asked, _, listed = bound
    beam = proposer.beam(asked, 2)
    for at, rows in enumerate(listed):
        held = {tuple(row) for row in beam.combinations[at].tolist()}
        outside = torch.tensor([row for row in rows.tolist() if tuple(row) not in held])
        if len(outside):
            exact = proposer.log_prob(asked, torch.tensor([at]), outside[None])[0]
            assert float(exact.max()) <= float(beam.bound[at]) + 1e-9


def test_samples_come_with_the_frequencies_that_their_probabilities_say():
    shop = shop_with(elements_of({"p": (3, 2, 3)}, ("s", "t", "u"), seed=3), seed=3)
    rules = Rules(forbidden=(Forbidden(None, "s", "s00", "u", "u01"),), optional=frozenset({"t"}))
    proposer, asked, _, listed = bound_to(shop, rules)
    draws = 60_000
    one = torch.zeros(1, dtype=torch.int64)
    sampled = proposer.sample(asked, one, draws, np.random.default_rng(5))[0]
    exact = proposer.log_prob(asked, one, listed[0][None])[0].exp().numpy()
    found, counts = torch.unique(sampled, dim=0, return_counts=True)
    share = {tuple(row): c / draws for row, c in zip(found.tolist(), counts.tolist(), strict=True)}
    assert set(share) <= {tuple(row) for row in listed[0].tolist()}
    seen = np.array([share.get(tuple(row), 0.0) for row in listed[0].tolist()])
    assert (np.abs(seen - exact) <= 5 * np.sqrt(exact * (1 - exact) / draws) + 1e-12).all()


def test_a_draw_at_the_edge_of_the_distribution_function_is_still_allowed():
    allowed = torch.tensor([[[False, True, False, True, False]]])
    log_prob = torch.where(allowed, np.log(0.5), 0.0)
    for aim, expected in ((0.0, 1), (0.5, 3), (np.nextafter(1.0, 0.0), 3), (1.0, 3)):
        uniform = torch.full((1, 1, 1), aim, dtype=torch.float64)
        assert int(drawn(uniform)(0, log_prob.double(), allowed)) == expected


def test_a_million_samples_hold_no_illegal_combination():
    rng = np.random.default_rng(0)
    shop = shop_with(elements_of({"p": (6, 6, 6, 6)}, ("s", "t", "u", "v"), seed=1), seed=1)
    pairs = [(f"s{rng.integers(6):02d}", f"v{rng.integers(6):02d}") for _ in range(12)]
    rules = Rules(
        forbidden=tuple(Forbidden(None, "s", a, "v", b) for a, b in pairs),
        optional=frozenset({"u"}),
    )
    proposer, asked, _, _ = bound_to(shop, rules)
    for _ in range(10):
        sampled = proposer.sample(asked, torch.arange(REQUESTS), 100_000 // REQUESTS + 1, rng)
        assert proposer.lattice.spaces[0].legal(sampled.flatten(0, 1).numpy()).all()


def test_a_request_has_the_same_probabilities_alone_and_in_a_batch():
    shop = shop_of(6, (2, 5), seed=4)
    proposer, asked, _, _ = bound_to(shop, Rules())
    every = torch.arange(len(asked.product))
    shown = proposer.sample(asked, every, 20, np.random.default_rng(0))
    together = proposer.log_prob(asked, every, shown)
    for at, name in enumerate(np.repeat([s.product_id for s in proposer.lattice.spaces], 3)):
        own = Shop(shop.elements, shop.truth)
        alone = untrained(own, 0).over(shop.elements, [space_of(name, shop.elements, Rules())])
        request = asked.take(np.array([at]))
        width = alone.lattice.step.shape[1]
        moved = type(request)(np.zeros(1, np.int64), request.context, request.hint[..., :width])
        np.testing.assert_allclose(
            alone.log_prob(moved, every[:1], shown[at : at + 1])[0], together[at], atol=1e-10
        )


def test_a_product_without_rules_has_the_same_proposals_beside_one_with_rules():
    shop = shop_with(elements_of({"a": (3, 2, 3), "b": (3, 3, 2)}, ("s", "t", "u"), seed=1), seed=1)
    rules = Rules(forbidden=(Forbidden("b", "s", "s00", "t", "t01"),))
    (free, ruled), generator = legal_spaces(shop, rules), untrained(shop, 0)
    listed = torch.from_numpy(free.enumerate().astype(np.int64)).expand(REQUESTS, -1, -1)
    which, context = np.zeros(REQUESTS, np.int64), context_of(REQUESTS, np.random.default_rng(0))
    told = []
    for spaces in ([free], [free, ruled]):
        proposer = generator.over(shop.elements, spaces)
        rows = proposer.lattice.rows[which]
        pieces = shop.truth.pieces([free.product_id] * REQUESTS, context, shop.elements, rows)
        asked = proposer.asked(which, context, pieces)
        assert (proposer.lattice.closed is None) == (len(spaces) == 2)
        beam, every = proposer.beam(asked, 7), torch.arange(REQUESTS)
        exact = proposer.log_prob(asked, every, listed)
        assert torch.equal(proposer.log_prob(asked, every, listed, legal=True), exact)
        told.append((exact, beam.log_prob, beam.bound, beam.combinations))
    for alone, beside in zip(*told, strict=True):
        torch.testing.assert_close(alone, beside, atol=1e-10, rtol=0)


def test_requests_that_one_generator_began_say_nothing_to_another_but_their_hints():
    shop = shop_of(4, (2, 4), seed=2)
    proposer, asked, pieces, listed = bound_to(shop, Rules(), seed=0)
    other = untrained(shop, 1).over(shop.elements, proposer.lattice.spaces)
    own = other.asked(asked.product, asked.context, pieces)
    for at, rows in enumerate(listed):
        one = torch.tensor([at])
        expected = other.log_prob(own, one, rows[None])
        assert torch.equal(other.log_prob(asked, one, rows[None]), expected)
        assert not torch.allclose(proposer.log_prob(asked, one, rows[None]), expected)


def test_a_generator_is_the_same_after_its_state_was_stored():
    shop = shop_of(4, (2, 4), seed=2)
    generator = untrained(shop, 1)
    tensors, described = generator.state()
    again = Generator.from_state(tensors, described)
    first, asked, _, listed = bound_to(shop, Rules(), generator=generator)
    second = bound_to(shop, Rules(), generator=again)[0]
    combinations = torch.stack([rows[:5] for rows in listed])
    every = torch.arange(len(combinations))
    expected = first.log_prob(asked, every, combinations)
    assert torch.equal(expected, second.log_prob(asked, every, combinations))


def test_elements_products_and_context_values_never_seen_have_probabilities_too():
    shop = shop_of(3, (2, 3), seed=2)
    newer = shop_of(5, (3, 4), seed=9)
    generator = untrained(shop, 1)
    spaces = legal_spaces(newer, Rules())
    proposer = generator.over(newer.elements, spaces)
    context = {"device": np.array(["watch"] * 5, object), "hour": np.full(5, np.nan)}
    names = [space.product_id for space in spaces]
    which = np.arange(5)
    pieces = newer.truth.pieces(names, context, newer.elements, proposer.lattice.rows)
    asked = proposer.asked(which, context, pieces)
    for at, space in enumerate(spaces):
        rows = torch.from_numpy(space.enumerate().astype(np.int64))[None]
        exact = proposer.log_prob(asked, torch.tensor([at]), rows).exp()
        assert float(exact.sum()) == pytest.approx(1.0, abs=1e-9)


def test_a_catalog_that_is_read_ahead_gives_the_same_probabilities(monkeypatch):
    shop, found = shop_of(4, (2, 3), seed=2), []
    spaces = legal_spaces(shop, Rules())
    for most in (50_000, 0):
        monkeypatch.setattr("model.generator.policy.READ_AHEAD", most)
        proposer = untrained(shop, 1).over(shop.elements, spaces[2:])
        names = [space.product_id for space in spaces[2:]]
        context = context_of(len(names), np.random.default_rng(0))
        rows, which = proposer.lattice.rows, np.arange(len(names))
        pieces = shop.truth.pieces(names, context, shop.elements, rows)
        listed = torch.from_numpy(spaces[2].enumerate().astype(np.int64))[None]
        asked = proposer.asked(which, context, pieces)
        found.append(proposer.log_prob(asked, torch.zeros(1, dtype=torch.int64), listed))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


def test_id_dropout_shows_a_product_as_one_never_trained_on(monkeypatch):
    monkeypatch.setattr("model.generator.policy.HALF", 2.0)  # hides every id of a hidden product
    shop = shop_of(3, (2, 3), seed=2)
    generator = untrained(shop, 1)
    lattice = Lattice.pack(legal_spaces(shop, Rules()))
    inputs = generator.encoding.inputs(shop.elements, lattice.rows[lattice.rows >= 0])
    shelf = Shelf.of(generator.encoding, inputs, lattice)
    nameless = Shelf(
        replace(shelf.inputs, identity=shelf.inputs.identity * 0), shelf.place, shelf.product * 0
    )
    network = generator.network
    cards, chance = shelf.place[0].size, torch.Generator().manual_seed(0)
    always, never = (Hide.drawn(share, len(shelf.place), cards, chance) for share in (1.0, 0.0))
    hidden, new = shelf.encode(network, hide=always), nameless.encode(network)
    known, kept = shelf.encode(network), shelf.encode(network, hide=never)
    for name in ("keys", "summary"):
        assert torch.equal(getattr(hidden, name), getattr(new, name))
        assert torch.equal(getattr(known, name), getattr(kept, name))
        assert not torch.allclose(getattr(hidden, name), getattr(known, name))


def test_elements_with_embeddings_of_another_length_are_refused():
    shop = shop_of(3, (2, 3), seed=2)
    other = elements_of({"p": (2, 2, 2)}, ("title", "image", "tag"), seed=1)
    with pytest.raises(ValueError, match="trained on"):
        untrained(shop, 1).over(other, [space_of("p", other, Rules())])


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_the_exact_search_finds_the_highest_rewards_of_all_legal_combinations(world):
    bound = bound_to(*world)
    if bound is None:
        return
    proposer, asked, pieces, listed = bound
    found = exact_top(pieces, proposer.lattice.spaces, asked.product, 3, 1e-12)
    for at, rows in enumerate(listed):
        every = score(pieces.take(torch.tensor([at])), rows[None])[0]
        best = every.sort(descending=True).values[:3]
        given = found.reward[at][torch.isfinite(found.reward[at])]
        np.testing.assert_allclose(given, best, rtol=1e-9)


def test_equal_rewards_are_ranked_in_the_order_of_the_list_however_the_list_is_cut(monkeypatch):
    shop = shop_of(4, (2, 5), seed=7)
    alike = type(shop.truth)(
        -2.0, shop.truth.alone * 0, shop.truth.device * 0, shop.truth.together * 0, shop.truth.doubt
    )
    proposer, asked, pieces, listed = bound_to(Shop(shop.elements, alike), Rules())
    expected = torch.stack([rows[:4] for rows in listed])
    for chunk in (400_000, 200, 1):
        monkeypatch.setattr("model.generator.search.CHUNK", chunk)
        found = exact_top(pieces, proposer.lattice.spaces, asked.product, 4, 1e-9)
        assert torch.equal(found.combinations, expected)


def test_the_beam_on_rewards_is_legal_and_near_the_exact_best():
    shop = shop_of(8, (3, 6), seed=5)
    rules = Rules(
        forbidden=(Forbidden(None, "title", "t00", "image", "i01"),), optional=frozenset({"tag"})
    )
    proposer, asked, pieces, _ = bound_to(shop, rules)
    lattice = proposer.lattice
    found = beam_top(pieces, lattice, asked.product, 16, 1e-9)
    best = exact_top(pieces, lattice.spaces, asked.product, 1, 1e-9)
    for at, product in enumerate(asked.product):
        assert lattice.spaces[product].legal(found.combinations[at].numpy()).all()
    assert float((found.reward[:, 0] / best.reward[:, 0]).min()) >= 0.95


def test_a_reward_that_is_no_number_is_refused():
    shop = shop_of(2, (2, 3), seed=5)
    shop.truth.alone[3] = np.nan
    proposer, asked, pieces, _ = bound_to(shop, Rules())
    with pytest.raises(ValueError, match="no finite number"):
        exact_top(pieces, proposer.lattice.spaces, asked.product, 1, 1e-9)


def test_a_hint_is_the_log_reward_alone_less_its_slots_mean_and_never_praises_what_is_unsure():
    shop = shop_of(1, (3, 3), seed=5, slots=2)
    doubt = shop.truth.doubt.copy()
    own = [rows.tolist() for rows in shop.elements.rows_of("p000")]
    shop.truth.alone[own[0]] = [0.0, 0.5, 4.0]
    doubt[own[0][2]] = 0.9
    truth = replace(shop.truth, doubt=doubt, device=shop.truth.device * 0)
    context = context_of(1, np.random.default_rng(0))
    pieces = truth.pieces(["p000"], context, shop.elements, np.array([own], np.int32))
    present = torch.tensor([[[True, True, True], [True, True, False]]])
    bold, wary = (hints(pieces, present, c)[0] for c in (Caution(0.0, 9.0), Caution(1.0, 0.5)))
    assert bold[0, 3] > 1
    assert wary[0, 3] == 0
    alone = np.log(1 / (1 + np.exp(3.0 - np.array([0.0, 0.5]))))
    np.testing.assert_allclose(wary[0, 1:3], alone - alone.mean(), atol=1e-9)
    assert (wary[:, 0] == 0).all()
    assert wary[1, 3] == 0
