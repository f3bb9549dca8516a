"""What a conversion is worth: our value head beside the product's mean, in a shop where elements
move values and in its twin where they don't.

Error: root mean square of the log of the predicted over the true mean worth, on fresh displays;
within: correlation of the two within products, averaged over products.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.reward.jobs import answers
from benchmarks.reward.shop import World, make_world, task_of
from benchmarks.reward.table import number, table
from model.bags import Bags
from model.reward.config import RewardConfig
from model.reward.fit import fit_reward
from model.reward.value import product_values, worth

JUDGED = 20_000
NOISE = 0.6  # deviation of the log of a basket around its mean
BOUGHT = 0.4  # of clicks, so that values are not too rare to look at
EFFECTS = {"elements move values by 0.2": 0.2, "by 0.1": 0.1, "by nothing": 0.0}
HEAD = ("shop", "conversions", "way", "error of the log", "within products")


@dataclass(frozen=True, eq=False)
class Sold:
    """A log with values, fresh displays, and the true mean worth of a conversion on those (n,)."""

    log: Bags
    judged: Bags
    true: np.ndarray


def sell(world: World, displays: int, effect: float, seed: int) -> Sold:
    """Elements' effects on the log of the price: half of the variance is their text's."""
    rng = np.random.default_rng([seed, 11])
    elements = world.elements
    words = {text: rng.normal() for text in sorted(set(elements.text.tolist()))}
    said = np.array([words[text] for text in elements.text.tolist()])
    moved = effect * (said + rng.normal(size=len(elements))) / 2**0.5
    names = world.shop.truth.products
    price = dict(zip(names, world.shop.truth.price, strict=True))
    log, (judged, _) = world.log(displays, 1), world.fresh(JUDGED, 3)

    def mean(bags: Bags) -> np.ndarray:
        own = np.where(bags.element >= 0, moved[np.maximum(bags.element, 0)], 0.0).sum(1)
        return np.array([price[p] for p in bags.product_id]) * np.exp(own)

    bought = log.clicks * (rng.random(len(log)) < BOUGHT)
    noise = np.exp(NOISE * rng.normal(size=len(log)) - NOISE**2 / 2)
    return Sold(
        replace(log, conversions=bought, value=bought * mean(log) * noise), judged, mean(judged)
    )


def measure(
    seed: int, products: int, sizes: tuple[int, ...], workers: int
) -> dict[tuple[str, int], tuple[dict[str, np.ndarray], Sold]]:
    """Predicted worth by way, of each shop and size of log."""
    world = make_world(seed, products)
    sold = {
        (name, size): sell(world, size, effect, seed)
        for name, effect in EFFECTS.items()
        for size in sizes
    }
    found = answers({key: partial(predicted, world, s) for key, s in sold.items()}, workers)
    return {key: (found[key][0], sold[key]) for key in sold}


def predicted(world: World, sold: Sold) -> dict[str, np.ndarray]:
    """Worth of a conversion of each judged display."""
    task = task_of(world, sold.log, sold.judged)
    config = RewardConfig(target="value")
    reward = fit_reward(task.train, task.valid, task.elements, task.context, config, seed=0)
    told = reward.predict(sold.judged, task.elements)
    assert told.value is not None
    assert told.conversion is not None
    plain = worth(product_values(task.train), sold.judged.product_id)
    return {"product's mean": plain, "value head": told.value / told.conversion}


def report(found: Mapping[tuple[str, int], tuple[dict[str, np.ndarray], Sold]]) -> str:
    """The table."""
    rows = []
    for (name, _), (ways, sold) in found.items():
        for way, told in ways.items():
            off = np.log(told / sold.true)
            same = _within(np.log(told), np.log(sold.true), sold.judged.product_id)
            count = f"{sold.log.conversions.sum():,.0f}"
            rows.append((name, count, way, number(float(np.sqrt(np.mean(off**2)))), number(same)))
    return table("Worth of a conversion", HEAD, rows)


def _within(told: np.ndarray, true: np.ndarray, product: np.ndarray) -> float:
    each = []
    for name in np.unique(product.astype(str)):
        at = product == name
        if min(np.ptp(told[at]), np.ptp(true[at])) > 1e-9:
            each.append(np.corrcoef(told[at], true[at])[0, 1])
    return float(np.mean(each)) if each else float("nan")
