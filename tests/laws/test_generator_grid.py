"""Scoring by halves is scoring: the same rewards, the same best, whatever the target."""

import numpy as np
import pytest
import torch
from tabular_reward import elements_of

from model.combinations import Forbidden, Rules, space_of
from model.generator.grid import Halves, grid_rewards
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
def test_the_reward_by_halves_is_the_reward(target, heads, rules, sizes):
    elements = elements_of({"p": sizes}, SLOTS[: len(sizes)], seed=1)
    space = space_of("p", elements, rules)
    listed = torch.from_numpy(space.enumerate().astype(np.int64))
    halves = Halves.of(listed)
    assert halves is not None
    pieces = pieces_of(target, len(sizes), max(sizes), heads=heads)
    direct = score(pieces, listed.expand(REQUESTS, -1, -1))
    np.testing.assert_allclose(grid_rewards(pieces, halves), direct, rtol=2e-6)
    which = np.zeros(REQUESTS, np.int64)
    found = exact_top(pieces, [space], which, 5, 1e-9)
    np.testing.assert_allclose(found.reward, direct.topk(5).values, rtol=2e-6)


def test_short_lists_and_lists_that_do_not_pair_are_scored_directly():
    elements = elements_of({"p": (50, 50)}, SLOTS[:2], seed=1)
    allowed = tuple({"title": f"t{n:02d}", "image": f"i{n:02d}"} for n in range(50))
    space = space_of("p", elements, Rules({"p": allowed}))
    assert Halves.of(torch.from_numpy(space.enumerate().astype(np.int64))) is None
    diagonal = torch.arange(100)[:, None].expand(-1, 2)
    assert Halves.of(diagonal) is None


def test_requests_of_several_products_get_the_best_of_their_own():
    sizes = {"a": (3, 4, 2), "b": (5, 5, 5), "c": (6, 5, 4)}
    elements = elements_of(sizes, SLOTS[:3], seed=2)
    spaces = [space_of(name, elements, Rules()) for name in sizes]
    pieces = pieces_of("click", 3, 6, seed=3)
    product = np.array([0, 1, 1, 2])
    found = exact_top(pieces, spaces, product, 40, 1e-9)
    for at, own in enumerate(product):
        listed = torch.from_numpy(spaces[own].enumerate().astype(np.int64))
        direct = score(pieces.take(torch.tensor([at])), listed[None])[0]
        best = direct.sort(descending=True).values[:40]
        shown = found.reward[at][torch.isfinite(found.reward[at])]
        np.testing.assert_allclose(shown, best, rtol=2e-6)
        assert len(shown) == min(40, spaces[own].count())
