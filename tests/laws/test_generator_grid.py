"""The best by rows of halves are the best of the whole list, whatever the target."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tabular_reward import elements_of

from model.combinations import Forbidden, Rules, space_of
from model.generator.blocks import best_of_grids
from model.generator.grid import Halves
from model.generator.grids import Grids
from model.generator.search import exact_top, score
from model.reward.pieces import Pieces, Scale

SLOTS = ("title", "image", "highlight", "tag", "price")
REQUESTS, MEMBERS, RANK = 4, 3, 2


def pieces_of(target: str, slots: int, options: int, seed: int = 0, heads: int = 2) -> Pieces:
    draw = torch.Generator().manual_seed(seed)
    shape = (REQUESTS, slots, options, MEMBERS)
    return Pieces(
        torch.randn(REQUESTS, MEMBERS, heads, generator=draw) - 2.0,
        0.5 * torch.randn(*shape, heads, generator=draw),
        0.5 * torch.randn(*shape, RANK, generator=draw),
        Scale(0.8, -0.3, target, 1.0 + torch.rand(REQUESTS, generator=draw)),
    )


RULES = {
    "no rules": Rules(),
    "optional slots": Rules(optional=frozenset({"title", "tag"})),
    "forbidden pairs": Rules(
        forbidden=(
            Forbidden(None, "title", "t00", "image", "i01"),
            Forbidden(None, "image", "i02", "tag", "t01"),
        )
    ),
}


@pytest.mark.parametrize(
    ("target", "heads"), [("click", 2), ("conversion", 2), ("value", 2), ("value", 3)]
)
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("sizes", [(40, 3), (4, 4, 5), (4, 5, 3, 4), (3, 3, 3, 2, 4)])
@pytest.mark.parametrize("pairs", [0.1, 3.0])  # bounds are close, bounds say little
def test_the_best_by_rows_are_the_best_of_the_list(target, heads, rules, sizes, pairs):
    elements = elements_of({"p": sizes}, SLOTS[: len(sizes)], seed=1)
    space = space_of("p", elements, rules)
    listed = torch.from_numpy(space.enumerate().astype(np.int64))
    pieces = pieces_of(target, len(sizes), max(sizes), heads=heads)
    pieces = replace(pieces, factor=(pairs * pieces.factor[:1]).expand_as(pieces.factor))
    direct = score(pieces, listed.expand(REQUESTS, -1, -1))
    grid = Grids().of(space)
    assert grid is not None
    only = torch.zeros(REQUESTS, dtype=torch.int64)
    for k, drawn in ((1, False), (5, False), (1, True), (5, True)):
        found = best_of_grids(pieces, [grid], only, k, 1e-9, drawn)
        np.testing.assert_allclose(score(pieces, found), direct.topk(k).values, rtol=2e-6)
        assert space.legal(found.flatten(0, 1).numpy()).all()
    which = np.zeros(REQUESTS, np.int64)
    np.testing.assert_allclose(
        exact_top(pieces, [space], which, 5, 1e-9).reward, direct.topk(5).values, rtol=2e-6
    )


def test_of_equal_combinations_the_earlier_ones_are_the_best():
    elements = elements_of({"p": (6, 6, 6)}, SLOTS[:3], seed=1)
    space = space_of("p", elements, Rules())
    pieces = pieces_of("click", 3, 6)
    alike = replace(pieces, unary=0 * pieces.unary, factor=0 * pieces.factor)
    found = exact_top(alike, [space], np.zeros(REQUESTS, np.int64), 7, 1e-9).combinations
    first = torch.from_numpy(space.enumerate()[:7].astype(np.int64))
    assert torch.equal(found, first.expand(REQUESTS, -1, -1))
    only, grid = torch.zeros(REQUESTS, dtype=torch.int64), Grids().of(space)
    assert torch.equal(best_of_grids(alike, [grid], only, 7, 1e-9, drawn=True), found)


def test_a_million_combinations_are_searched_exactly():
    elements = elements_of({"p": (32, 32, 32, 30)}, SLOTS[:4], seed=1)
    space = space_of("p", elements, Rules())
    pieces = pieces_of("click", 4, 32)
    pieces = replace(pieces, factor=pieces.factor[:1].expand_as(pieces.factor))
    found = exact_top(pieces, [space], np.zeros(REQUESTS, np.int64), 3, 1e-9)
    listed = torch.from_numpy(space.enumerate().astype(np.int64))[None]
    for at in range(2):
        direct = score(pieces.take(torch.tensor([at])), listed)[0].topk(3).values
        np.testing.assert_allclose(found.reward[at], direct, rtol=2e-6)


def test_a_reward_that_falls_with_the_clicks_is_searched_by_its_list():
    elements = elements_of({"p": (5, 5, 5)}, SLOTS[:3], seed=1)
    space = space_of("p", elements, Rules())
    pieces = pieces_of("click", 3, 5)
    upside_down = replace(pieces, scale=replace(pieces.scale, slope=-0.5))
    listed = torch.from_numpy(space.enumerate().astype(np.int64))
    found = exact_top(upside_down, [space], np.zeros(REQUESTS, np.int64), 5, 1e-9)
    direct = score(upside_down, listed.expand(REQUESTS, -1, -1)).topk(5).values
    np.testing.assert_allclose(found.reward, direct, rtol=2e-6)


def test_short_lists_and_lists_that_do_not_pair_have_no_grid():
    elements = elements_of({"p": (50, 50), "q": (3, 3)}, SLOTS[:2], seed=1)
    allowed = tuple({"title": f"t{n:02d}", "image": f"i{n:02d}"} for n in range(50))
    rules = Rules({"p": allowed * 2})
    assert Halves.between(space_of("p", elements, rules)) is None
    assert Halves.between(space_of("q", elements, Rules())) is None


def test_products_without_rules_share_an_automaton_and_its_halves():
    elements = elements_of({"a": (5, 5, 5), "b": (5, 5, 5), "c": (5, 5, 4)}, SLOTS[:3], seed=1)
    a, b, c = (space_of(name, elements, Rules()) for name in "abc")
    assert a.step is b.step
    assert a.step is not c.step
    grids = Grids()
    shapes = [grids.of(space).shape for space in (a, b, c)]
    assert shapes[0] is shapes[1]
    assert shapes[0] is not shapes[2]


@pytest.mark.parametrize("product", [[0, 1, 1, 2], [3, 1, 2, 4]])  # alike in shape: b, d, e
def test_requests_of_several_products_get_the_best_of_their_own(product):
    sizes = {"a": (3, 4, 2), "b": (5, 5, 5), "c": (6, 5, 4), "d": (5, 5, 5), "e": (5, 5, 5)}
    elements = elements_of(sizes, SLOTS[:3], seed=2)
    spaces = [space_of(name, elements, Rules()) for name in sizes]
    pieces = pieces_of("click", 3, 6, seed=3)
    product = np.array(product)
    found = exact_top(pieces, spaces, product, 40, 1e-9)
    for at, own in enumerate(product):
        listed = torch.from_numpy(spaces[own].enumerate().astype(np.int64))
        direct = score(pieces.take(torch.tensor([at])), listed[None])[0]
        best = direct.sort(descending=True).values[:40]
        shown = found.reward[at][torch.isfinite(found.reward[at])]
        np.testing.assert_allclose(shown, best, rtol=2e-6)
        assert len(shown) == min(40, spaces[own].count())
