"""A day of the shop as columns: displays, and the clicks and conversions they lead to."""

from dataclasses import dataclass

import numpy as np

from examples.storefront.policies import Shows
from examples.storefront.truth import CONTEXT, Truth, one_hot

MILLIS_A_DAY = 86_400_000
CONVERSION_LAG_DAYS = 1.5
CLICK_LAG_SECONDS = 40


@dataclass(frozen=True, eq=False)
class Displays:
    """n displays of one day; millis since its midnight, outcome arrays index into them."""

    millis: np.ndarray
    product: np.ndarray
    user: np.ndarray
    context: dict[str, np.ndarray]
    choice: np.ndarray
    propensity: np.ndarray
    clicked: np.ndarray  # rows that were clicked
    click_lag: np.ndarray  # milliseconds after the display
    converted: np.ndarray  # rows that converted
    conversion_lag: np.ndarray
    value: np.ndarray


def make_contexts(
    truth: Truth, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Products (n,) by popularity, and their contexts."""
    popularity = 1 / (np.arange(len(truth.products)) + 8)
    product = rng.choice(len(truth.products), size=size, p=popularity / popularity.sum())
    context = {
        name: np.array(values, object)[rng.choice(len(values), size=size, p=_shares(len(values)))]
        for name, values in CONTEXT.items()
    }
    context["hour"] = np.minimum(rng.normal(14, 5, size=size) % 24, 23.99).astype(np.int64)
    return product, context


def _shares(values: int) -> np.ndarray:
    weights = 1 / (np.arange(values) + 1.5)
    return weights / weights.sum()


def make_displays(truth: Truth, policy: Shows, size: int, rng: np.random.Generator) -> Displays:
    """A day's displays under a policy, in order of time."""
    product, context = make_contexts(truth, size, rng)
    choice, propensity = policy.choose_many(product, context, rng)
    odds = truth.log_odds(product, one_hot(context), context["hour"].astype(np.int64), choice)
    millis = (context["hour"].astype(np.int64) * 3_600_000) + rng.integers(3_600_000, size=size)
    order = np.argsort(millis, kind="stable")
    clicked = np.flatnonzero(rng.random(size) < 1 / (1 + np.exp(-odds[order])))
    buys = 1 / (1 + np.exp(-(-2.2 + 0.5 * truth.product[product[order][clicked]])))
    converted = clicked[rng.random(len(clicked)) < buys]
    worth = truth.price[product[order][converted]]
    return Displays(
        millis=millis[order],
        product=product[order],
        user=rng.integers(max(size // 4, 1), size=size),
        context={name: values[order] for name, values in context.items()},
        choice=choice[order],
        propensity=propensity[order],
        clicked=clicked,
        click_lag=(1000 * rng.exponential(CLICK_LAG_SECONDS, size=len(clicked))).astype(np.int64),
        converted=converted,
        conversion_lag=(MILLIS_A_DAY * rng.exponential(CONVERSION_LAG_DAYS, size=len(converted)))
        .clip(max=6.9 * MILLIS_A_DAY)
        .astype(np.int64),
        value=np.round(worth * np.exp(0.3 * rng.normal(size=len(converted))), 2),
    )
