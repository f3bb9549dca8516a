"""Displays of the loop as the models take them: equal displays of a cell are bags of some people.

A log's bags are told apart by user, and members of the ensemble stress users. Here displays have
none, so those that train are dealt to CROWDS: were all equal displays one bag, the few bags of what
is shown most would be stressed whole, and what is known best would look least certain.
"""

from collections.abc import Sequence

import numpy as np

from examples.loop.world import CELLS, KINDS, Requests, Shown, World
from model.bags import Bags

CROWDS = 16


def halves(
    world: World, days: Sequence[Shown], held: int, rng: np.random.Generator
) -> tuple[Bags, Bags]:
    """(bags to learn from, bags to tune on): one display in `held` goes to the second."""
    product, cell, place, clicked = (
        np.concatenate(parts)
        for parts in zip(
            *((d.requests.product, d.requests.cell, d.place, d.clicked) for d in days), strict=True
        )
    )
    aside = rng.integers(held, size=len(product)) == 0
    crowd = np.where(aside, 0, rng.integers(CROWDS, size=len(product)))
    first, second = (
        _bags(world, *(part[rows] for part in (product, cell, place, crowd, clicked)))
        for rows in (~aside, aside)
    )
    return first, second


def _bags(
    world: World,
    product: np.ndarray,
    cell: np.ndarray,
    place: np.ndarray,
    crowd: np.ndarray,
    clicked: np.ndarray,
) -> Bags:
    most = max(len(rows) for rows in world.legal)
    key = ((product * len(CELLS) + cell) * most + place) * CROWDS + crowd
    found, which = np.unique(key, return_inverse=True)
    shown = np.bincount(which).astype(float)
    clicks = np.bincount(which, clicked.astype(float))
    place, rest = found // CROWDS % most, found // CROWDS // most
    product, cell = rest // len(CELLS), rest % len(CELLS)
    element = np.zeros((len(found), len(world.elements.slots)), np.int32)
    for p in np.unique(product):
        rows = product == p
        element[rows] = world.rows_of(int(p))[place[rows]]
    return _made(world, product, cell, element, shown, clicks)


def unseen(world: World, requests: Requests) -> Bags:
    """Requests as bags whose combination is still open."""
    element = np.full((len(requests.product), len(world.elements.slots)), -1, np.int32)
    ones = np.ones(len(element))
    return _made(world, requests.product, requests.cell, element, ones, 0 * ones)


def _made(
    world: World,
    product: np.ndarray,
    cell: np.ndarray,
    element: np.ndarray,
    shown: np.ndarray,
    clicks: np.ndarray,
) -> Bags:
    """Clusters are the bags themselves; the propensity is left out, as nothing here needs it."""
    size = len(product)
    columns = zip(*CELLS, strict=True)
    flags = np.ones(size, bool)
    return Bags(
        product_id=np.array(world.shop.truth.products, object)[product],
        cluster_id=np.arange(size).astype("U").astype(object),
        policy=np.full(size, "loop", object),
        context={name: np.array(c, object)[cell] for name, c in zip(KINDS, columns, strict=True)},
        element=element,
        propensity=np.full(size, np.nan),
        impressions=shown,
        clicks=clicks,
        conversions=np.zeros(size),
        value=np.zeros(size),
        click_mature=flags,
        conversion_mature=flags,
        history=np.zeros((size, element.shape[1], 0), np.float32),
    )
