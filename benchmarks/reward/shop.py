"""Displays of the simulated shop as bags, and the truth that judges what was learned of them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from examples.storefront.events import make_contexts, make_displays
from examples.storefront.policies import Shows
from examples.storefront.shop import Shop
from examples.storefront.truth import CONTEXT, SLOTS, Truth, one_hot
from model.bags import Bags
from model.elements import Elements

KINDS = {**dict.fromkeys(CONTEXT, "categorical"), "hour": "number"}


@dataclass(frozen=True, eq=False)
class World:
    """A shop with its candidates; place (P, S, K) is each candidate's row in elements, -1 none."""

    shop: Shop
    elements: Elements
    place: np.ndarray

    def displays(self, size: int, seed: int, policy: Shows | None = None) -> Bags:
        """Bags of so many displays under the policy (default: the logging policy)."""
        truth = self.shop.truth
        shown = make_displays(
            truth, policy or self.shop.logging, size, np.random.default_rng([self.shop.seed, seed])
        )
        clicks, bought, value = np.zeros(size), np.zeros(size), np.zeros(size)
        clicks[shown.clicked] = 1
        bought[shown.converted] = 1
        value[shown.converted] = shown.value
        return self._bags(
            shown.product, shown.context, shown.choice, clicks, bought, value, shown.propensity
        )

    def fresh(self, size: int, seed: int) -> tuple[Bags, np.ndarray]:
        """(bags without outcome as logging would show them, their true click probability)."""
        truth, rng = self.shop.truth, np.random.default_rng([self.shop.seed, seed, 1])
        product, context = make_contexts(truth, size, rng)
        choice, chance = self.shop.logging.choose_many(product, context, rng)
        none = np.zeros(size)
        true = self.shop.true_reward(product, context, choice)
        return self._bags(product, context, choice, none, none, none, chance), true

    def _bags(
        self,
        product: np.ndarray,
        context: dict[str, np.ndarray],
        choice: np.ndarray,
        clicks: np.ndarray,
        bought: np.ndarray,
        value: np.ndarray,
        propensity: np.ndarray,
    ) -> Bags:
        slots = np.arange(choice.shape[1])[None]
        at = self.place[product[:, None], slots, np.maximum(choice, 0)]
        names = np.array(self.shop.truth.products, object)[product]
        size = len(product)
        hour = context["hour"].astype(np.float64)
        return Bags(
            product_id=names,
            cluster_id=np.arange(size).astype(str).astype(object),
            policy=np.full(size, "logging", object),
            context={**{name: context[name] for name in CONTEXT}, "hour": hour},
            element=np.where(choice >= 0, at, -1).astype(np.int32),
            propensity=propensity,
            impressions=np.ones(size),
            clicks=clicks,
            conversions=bought,
            value=value,
            click_mature=np.ones(size, bool),
            conversion_mature=np.ones(size, bool),
            history=np.zeros((size, choice.shape[1], 0), np.float32),
        )

    def true_contribution(self, bags: Bags) -> np.ndarray:
        """(n, S) log-odds that each shown element adds, half of each interaction included."""
        truth, rows = self.shop.truth, np.arange(len(bags))
        product, choice = self._choices(bags)
        slots = np.arange(choice.shape[1])[None]
        at = np.maximum(choice, 0)
        present = choice >= 0
        onehot = one_hot({name: bags.context[name] for name in CONTEXT})
        p = product[rows][:, None]
        factor = np.where(present[..., None], truth.factor[p, slots, at], 0.0)
        pair = 0.5 * (factor * (factor.sum(1, keepdims=True) - factor)).sum(-1)
        crossed = np.einsum("nsc,nc->ns", truth.crossed[p, slots, at], onehot)
        return np.where(present, truth.element[p, slots, at] + crossed + pair, 0.0)

    def _choices(self, bags: Bags) -> tuple[np.ndarray, np.ndarray]:
        truth = self.shop.truth
        number = {name: i for i, name in enumerate(truth.products)}
        product = np.array([number[name] for name in bags.product_id])
        inside = np.zeros(len(self.elements), np.int64)
        for p in range(self.place.shape[0]):
            for s in range(self.place.shape[1]):
                rows = self.place[p, s][self.place[p, s] >= 0]
                inside[rows] = np.arange(len(rows))
        return product, np.where(bags.element >= 0, inside[np.maximum(bags.element, 0)], -1)


def make_world(seed: int, products: int) -> World:
    """The shop of a seed, its catalog read as elements."""
    shop = Shop.create(seed, products)
    elements = Elements.from_table(_catalog(shop.truth), SLOTS)
    place = np.full(shop.truth.present.shape, -1, np.int64)
    for p, name in enumerate(shop.truth.products):
        for s in range(len(SLOTS)):
            ids = shop.truth.ids[p][s]
            found = elements.find(np.full(len(ids), name, object), s, np.array(ids, object))
            place[p, s, : len(ids)] = found
    return World(shop, elements, place)


def _catalog(truth: Truth) -> pa.Table:
    columns: dict[str, list[object]] = {
        name: [] for name in ("product_id", "slot", "element_id", "text", "embedding")
    }
    for p, name in enumerate(truth.products):
        for s, slot in enumerate(SLOTS):
            for k, element in enumerate(truth.ids[p][s]):
                given = truth.embedding[p, s, k]
                row = (
                    name,
                    slot,
                    element,
                    truth.texts[p][s][k],
                    None if np.isnan(given).any() else given.tolist(),
                )
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
    types = {"embedding": pa.list_(pa.float32())}
    return pa.table({name: pa.array(rows, types.get(name)) for name, rows in columns.items()})
