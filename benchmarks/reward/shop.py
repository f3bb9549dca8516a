"""Displays of the simulated shop as bags, and the truth that judges what was learned of them."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from benchmarks.reward.task import TUNED, Task
from examples.storefront.events import make_contexts, make_displays
from examples.storefront.policies import Shows
from examples.storefront.shop import Shop
from examples.storefront.truth import CONTEXT, SLOTS, Truth, one_hot
from model.bags import Bags
from model.elements import Elements

KINDS = {**dict.fromkeys(CONTEXT, "categorical"), "hour": "number"}
CLUSTERS = 20_000  # users are told apart up to so many
SHARES = 8  # parts of the log in order of time; history is what earlier parts showed
PRIOR = 20.0  # displays at its product's rate that history credits an element with


@dataclass(frozen=True, eq=False)
class World:
    """A shop with its candidates; place (P, S, K) is each candidate's row in elements, -1 none."""

    shop: Shop
    elements: Elements
    place: np.ndarray

    def log(self, size: int, seed: int) -> Bags:
        """Bags of so many displays under the logging policy; one seed draws the same chances."""
        truth, rng = self.shop.truth, np.random.default_rng([self.shop.seed, seed])
        shown = make_displays(truth, self.shop.logging, size, rng)
        clicks, bought, value = np.zeros(size), np.zeros(size), np.zeros(size)
        clicks[shown.clicked] = 1
        bought[shown.converted] = 1
        value[shown.converted] = shown.value
        bags = self._bags(shown.product, shown.context, shown.choice, shown.propensity)
        names = np.array([f"u{number}" for number in range(CLUSTERS)], object)
        users = names[shown.user % CLUSTERS]
        return replace(bags, clicks=clicks, conversions=bought, value=value, cluster_id=users)

    def fresh(self, size: int, seed: int, policy: Shows | None = None) -> tuple[Bags, np.ndarray]:
        """(new displays by the policy, default logging's; their true click probability)."""
        rng = np.random.default_rng([self.shop.seed, seed, 1])
        product, context = make_contexts(self.shop.truth, size, rng)
        choice, chance = (policy or self.shop.logging).choose_many(product, context, rng)
        true = self.shop.true_reward(product, context, choice)
        return self._bags(product, context, choice, chance), true

    def even(self, a_product: int, seed: int) -> Bags:
        """As many new displays of every product, each legal combination as likely as another."""
        rng = np.random.default_rng([self.shop.seed, seed, 2])
        product = np.repeat(np.arange(len(self.shop.truth.products)), a_product)
        _, context = make_contexts(self.shop.truth, len(product), rng)
        choice, chance = self.shop.uniform().choose_many(product, context, rng)
        return self._bags(product, context, choice, chance)

    def dearer(self, products: np.ndarray, odds: float) -> "World":
        """The same shop whose `products` (P,) bool are clicked at `odds` times the odds."""
        truth = self.shop.truth
        raised = truth.product + np.log(odds) * products
        return replace(self, shop=replace(self.shop, truth=replace(truth, product=raised)))

    def _bags(
        self,
        product: np.ndarray,
        context: dict[str, np.ndarray],
        choice: np.ndarray,
        chance: np.ndarray,
    ) -> Bags:
        slots, size = np.arange(choice.shape[1])[None], len(product)
        at = self.place[product[:, None], slots, np.maximum(choice, 0)]
        names = np.array(self.shop.truth.products, object)[product]
        none, final = np.zeros(size), np.ones(size, bool)
        return Bags(
            product_id=names,
            cluster_id=names,
            policy=np.full(size, "logging", object),
            context={n: context[n].astype(np.float64 if n == "hour" else object) for n in KINDS},
            element=np.where(choice >= 0, at, -1).astype(np.int32),
            propensity=chance,
            impressions=np.ones(size),
            clicks=none,
            conversions=none,
            value=none,
            click_mature=final,
            conversion_mature=final,
            history=np.zeros((size, choice.shape[1], 0), np.float32),
        )

    def contributions(self, bags: Bags) -> tuple[np.ndarray, np.ndarray]:
        """(n, S) log-odds that each shown element adds with half of its interactions; and alone."""
        truth = self.shop.truth
        inside = np.zeros(len(self.elements), np.int64)
        p, s, k = np.nonzero(self.place >= 0)
        inside[self.place[p, s, k]] = k
        number = {name: i for i, name in enumerate(truth.products)}
        product = np.array([number[name] for name in bags.product_id])[:, None]
        shown, slots = bags.element >= 0, np.arange(bags.element.shape[1])[None]
        at = inside[np.maximum(bags.element, 0)]
        factor = np.where(shown[..., None], truth.factor[product, slots, at], 0.0)
        pair = 0.5 * (factor * (factor.sum(1, keepdims=True) - factor)).sum(-1)
        onehot = one_hot({name: bags.context[name] for name in CONTEXT})
        crossed = np.einsum("nsc,nc->ns", truth.crossed[product, slots, at], onehot)
        alone = np.where(shown, truth.element[product, slots, at], 0.0)
        return np.where(shown, alone + crossed + pair, 0.0), alone


def task_of(world: World, log: Bags, judged: Bags) -> Task:
    """Nine rows of ten to learn from, the tenth to stop and calibrate on."""
    tenth = np.arange(len(log)) % TUNED == 0
    parts = (log.take(np.flatnonzero(~tenth)), log.take(np.flatnonzero(tenth)))
    return Task(*parts, judged, world.elements, KINDS)


def with_history(task: Task, log: Bags) -> Task:
    """The task whose bags know how their elements did in earlier parts of the log.

    Features are the lift (log of the smoothed rate over the product's) and log(1 + displays); the
    judged rows know the whole log.
    """
    part = np.arange(len(log)) * SHARES // len(log)
    known = [_known(log.take(np.flatnonzero(part < p)), task.elements) for p in range(SHARES + 1)]
    history = np.full((len(log), log.element.shape[1], 2), np.nan, np.float32)
    for number in range(SHARES):
        rows = np.flatnonzero(part == number)
        history[rows] = _looked_up(known[number], log.element[rows])
    tenth = np.arange(len(log)) % TUNED == 0
    return replace(
        task,
        train=replace(task.train, history=history[~tenth]),
        valid=replace(task.valid, history=history[tenth]),
        judged=replace(task.judged, history=_looked_up(known[-1], task.judged.element)),
        elements=replace(task.elements, history=known[-1], history_names=("lift", "weight")),
    )


def _known(log: Bags, elements: Elements) -> np.ndarray:
    """(m, 2) float32 of each element, nan where it was not shown."""
    size = len(elements)
    seen = np.unique(log.product_id.astype(str), return_inverse=True)[1].reshape(-1)
    rate = (np.bincount(seen, log.clicks) + 1) / (np.bincount(seen) + 40) if len(log) else seen
    shown, clicks, due = (np.zeros(size) for _ in range(3))
    for slot in range(log.element.shape[1]):
        here = log.element[:, slot] >= 0
        at = log.element[here, slot]
        shown += np.bincount(at, minlength=size)
        clicks += np.bincount(at, log.clicks[here], size)
        due += np.bincount(at, rate[seen][here], size)
    usual = np.divide(due, shown, out=np.ones(size), where=shown > 0)
    lift = np.log((clicks + PRIOR * usual) / ((shown + PRIOR) * usual))
    both = np.stack([lift, np.log1p(shown)], axis=1)
    return np.where(shown[:, None] > 0, both, np.nan).astype(np.float32)


def _looked_up(known: np.ndarray, element: np.ndarray) -> np.ndarray:
    return np.where((element >= 0)[..., None], known[np.maximum(element, 0)], np.nan)


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
                vector = None if np.isnan(given).any() else given.tolist()
                row = (name, slot, element, truth.texts[p][s][k], vector)
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
    types = {"embedding": pa.list_(pa.float32())}
    return pa.table({name: pa.array(rows, types.get(name)) for name, rows in columns.items()})
