"""The shop as a loop sees it: requests come, a combination is shown, a click follows or not.

Every policy gets the same requests; clicks are drawn from the same numbers, so policies that show
the same get the same clicks. The hour moves the clicks of all combinations alike, so it is noise
here and no policy is told of it.
"""

from dataclasses import dataclass
from itertools import product as cartesian

import numpy as np
import pyarrow as pa

from examples.storefront.events import make_contexts
from examples.storefront.shop import Shop
from examples.storefront.truth import CONTEXT, SLOTS
from model.combinations import Forbidden, Rules
from model.elements import Elements

CELLS = list(cartesian(*CONTEXT.values()))
KINDS = dict.fromkeys(CONTEXT, "categorical")
ONE_HOT = np.array(
    [
        [float(v == own) for own, vs in zip(c, CONTEXT.values(), strict=True) for v in vs]
        for c in CELLS
    ]
)  # (cell, value)


@dataclass(frozen=True, eq=False)
class Requests:
    """n requests of one day: product and cell (n,) indices, hour (n,), chance (n,) in [0, 1)."""

    product: np.ndarray
    cell: np.ndarray
    hour: np.ndarray
    chance: np.ndarray


@dataclass(frozen=True, eq=False)
class Shown:
    """What one policy showed on a day and what came of it; `place` indexes the legal list."""

    requests: Requests
    place: np.ndarray  # (n,)
    propensity: np.ndarray  # (n,)
    clicked: np.ndarray  # (n,) bool
    value: np.ndarray  # (n,) true chance of a click
    best: np.ndarray  # (n,) the highest true chance that a legal combination had


@dataclass(frozen=True, eq=False)
class World:
    """A shop with its truth worked out for every product, cell and legal combination."""

    shop: Shop
    elements: Elements
    rules: Rules
    legal: tuple[np.ndarray, ...]  # per product (L, S) candidate indices
    odds: tuple[np.ndarray, ...]  # per product (cell, L) true log-odds, without the hour's effect
    row: np.ndarray  # (P, S, K) row in elements, -1 = no such candidate
    local: np.ndarray  # (m,) the candidate index of each row in elements
    seed: int

    @staticmethod
    def create(seed: int, products: int) -> "World":
        """The shop of a seed."""
        shop = Shop.create(seed, products)
        legal = shop.rules.legal
        odds = tuple(_odds(shop, p, own) for p, own in enumerate(legal))
        present = shop.truth.present
        row = np.where(present, np.cumsum(present).reshape(present.shape) - 1, -1)
        local = np.nonzero(present)[2]
        return World(shop, _elements(shop), _rules(shop), legal, odds, row, local, seed)

    def requests(self, day: int, size: int) -> Requests:
        """The requests of a day, the same for every policy."""
        rng = np.random.default_rng([self.seed, 6, day])
        product, context = make_contexts(self.shop.truth, size, rng)
        cell = np.zeros(size, np.int64)
        for name, values in CONTEXT.items():
            codes = np.searchsorted(np.sort(values), context[name].astype(str))
            cell = cell * len(values) + np.argsort(values)[codes]
        return Requests(product, cell, context["hour"].astype(np.int64), rng.random(size))

    def rows_of(self, product: int) -> np.ndarray:
        """(L, S) int32 rows in elements of the product's legal combinations."""
        return self.row[product, np.arange(len(SLOTS)), self.legal[product]].astype(np.int32)

    def places(self, product: np.ndarray, element: np.ndarray) -> np.ndarray:
        """(n,) place in the legal list of (n, S) rows in elements."""
        place = np.zeros(len(product), np.int64)
        chosen = self.local[element]
        for p in np.unique(product):
            rows, legal = np.flatnonzero(product == p), self.legal[p]
            sizes = tuple((legal.max(0) + 1).tolist())
            table = np.full(int(np.prod(sizes)), -1)
            table[np.ravel_multi_index(tuple(legal.T), sizes)] = np.arange(len(legal))
            place[rows] = table[np.ravel_multi_index(tuple(chosen[rows].T), sizes)]
        return place

    def show(self, requests: Requests, place: np.ndarray, propensity: np.ndarray) -> Shown:
        """What comes of showing these combinations."""
        value, best = np.zeros(len(place)), np.zeros(len(place))
        late = self.shop.truth.hour_effect[requests.hour]
        for p in np.unique(requests.product):
            rows = np.flatnonzero(requests.product == p)
            odds, cell = self.odds[p], requests.cell[rows]
            value[rows] = _chance(odds[cell, place[rows]] + late[rows])
            best[rows] = _chance(odds.max(1)[cell] + late[rows])
        return Shown(requests, place, propensity, requests.chance < value, value, best)


def _chance(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def _odds(shop: Shop, product: int, legal: np.ndarray) -> np.ndarray:
    truth, own, size = shop.truth, np.full(len(legal), product), len(legal)
    calm = np.zeros(size, np.int64)
    rows = [
        truth.log_odds(own, np.tile(one, (size, 1)), calm, legal) - truth.hour_effect[0]
        for one in ONE_HOT
    ]
    return np.stack(rows)


def _elements(shop: Shop) -> Elements:
    truth = shop.truth
    rows = [
        {
            "product_id": product,
            "slot": slot,
            "element_id": element,
            "text": truth.texts[p][s][k],
            "embedding": None if slot != "image" else truth.embedding[p, s, k].tolist(),
        }
        for p, product in enumerate(truth.products)
        for s, slot in enumerate(SLOTS)
        for k, element in enumerate(truth.ids[p][s])
    ]
    schema = pa.schema(
        [(name, pa.string()) for name in ("product_id", "slot", "element_id", "text")]
        + [("embedding", pa.list_(pa.float32()))]
    )
    return Elements.from_table(pa.Table.from_pylist(rows, schema=schema), SLOTS)


def _rules(shop: Shop) -> Rules:
    truth = shop.truth
    listed = {
        truth.products[p]: tuple(
            {slot: truth.ids[p][s][k] for s, (slot, k) in enumerate(zip(SLOTS, row, strict=True))}
            for row in rows.tolist()
        )
        for p, rows in shop.rules.listed.items()
    }
    return Rules(listed, tuple(Forbidden(*pair) for pair in shop.rules.forbidden))
