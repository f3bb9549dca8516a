"""A small world with planted element effects: bags, elements and the truth behind them."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from model.bags import Bags
from model.elements import Elements

SLOTS = ("title", "image")
CONTEXT = {"device": "categorical", "hour": "number"}
WORDS = ("plain", "bold", "free", "new", "soft", "last")


@dataclass(frozen=True)
class Planted:
    """effect (m,) of each element in log-odds; appeal (P,) of each product."""

    bags: Bags
    elements: Elements
    effect: np.ndarray
    appeal: np.ndarray


def planted(seed: int = 0, rows: int = 20_000, products: int = 6, base: float = -1.5) -> Planted:
    """Displays with clicks by bias + appeal + the two elements' effects."""
    rng = np.random.default_rng(seed)
    table = {"product_id": [], "slot": [], "element_id": [], "text": []}
    for p in range(products):
        for slot in SLOTS:
            for k in range(4):
                table["product_id"].append(f"p{p}")
                table["slot"].append(slot)
                table["element_id"].append(f"{slot}{k}")
                table["text"].append(
                    f"{WORDS[rng.integers(6)]} {WORDS[rng.integers(6)]} item {p}{k}"
                )
    elements = Elements.from_table(pa.table(table), SLOTS)
    effect = rng.normal(0, 0.5, len(elements))
    appeal = rng.normal(0, 0.5, products)
    product = rng.integers(products, size=rows)
    picks = rng.integers(4, size=(rows, 2))
    element = (product[:, None] * 8 + np.array([0, 4]) + picks).astype(np.int32)
    odds = base + appeal[product] + effect[element].sum(1)
    clicks = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    names = np.array([f"p{p}" for p in range(products)], object)[product]
    ones, zeros = np.ones(rows), np.zeros(rows)
    device = np.array(["phone", "desk"], object)[rng.integers(2, size=rows)]
    bags = Bags(
        product_id=names,
        cluster_id=np.array([f"u{n}" for n in rng.integers(rows // 3, size=rows)], object),
        policy=np.full(rows, "log", object),
        context={"device": device, "hour": rng.integers(24, size=rows).astype(float)},
        element=element,
        propensity=np.full(rows, 1 / 16),
        impressions=ones,
        clicks=clicks,
        conversions=zeros,
        value=zeros,
        click_mature=ones.astype(bool),
        conversion_mature=ones.astype(bool),
        history=np.zeros((rows, 2, 0), np.float32),
    )
    return Planted(bags, elements, effect, appeal)


def sold(world: Planted, effect: np.ndarray, seed: int = 0, chance: float = 0.8) -> Bags:
    """The bags, some clicks of which bought at their product's price times exp of the summed
    `effect` (m,) of the elements shown, with log-normal noise of deviation 0.5 and mean 1."""
    rng = np.random.default_rng([seed, 7])
    bags = world.bags
    bought = bags.clicks * (rng.random(len(bags)) < chance)
    noise = np.exp(0.5 * rng.normal(size=len(bags)) - 0.125)
    value = bought * expected_value(world, bags, effect) * noise
    return replace(bags, conversions=bought, value=value)


def expected_value(world: Planted, bags: Bags, effect: np.ndarray) -> np.ndarray:
    """(n,) mean worth of a conversion of each bag in `sold`."""
    price = 10.0 * np.exp(0.8 * np.arange(len(world.appeal)) / len(world.appeal))
    product = np.array([int(name[1:]) for name in bags.product_id])
    return price[product] * np.exp(effect[bags.element].sum(1))


def halves(bags: Bags) -> tuple[Bags, Bags]:
    """Nine tenths to learn from, a tenth to tune on."""
    tuned = np.arange(len(bags)) % 10 == 0
    return bags.take(np.flatnonzero(~tuned)), bags.take(np.flatnonzero(tuned))


def without_clicks(bags: Bags) -> Bags:
    return replace(bags, clicks=np.zeros(len(bags)))
