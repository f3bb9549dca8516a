"""What every way of predicting is given, and what it answers with: the same rows for all."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from model.bags import Bags
from model.elements import Elements

NORMAL = 1.96
TUNED = 10  # one product of so many, or one row, is kept for stopping and choosing penalties


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to learn from, rows to stop and calibrate on, rows to judge (outcomes not to be read).

    context: kind ("categorical" or "number") by name.
    """

    train: Bags
    valid: Bags
    judged: Bags
    elements: Elements
    context: dict[str, str]


@dataclass(frozen=True, eq=False)
class Answer:
    """Of n judged rows with S slots; None where the way does not say.

    score (n,): log-odds, comparable within a product; click (n,): probability; spread (n,): its
    standard deviation; element, element_spread (n, S): each element's part of the log-odds; reach:
    spreads to either side of a 95 % interval.
    """

    score: np.ndarray
    click: np.ndarray | None = None
    spread: np.ndarray | None = None
    element: np.ndarray | None = None
    element_spread: np.ndarray | None = None
    reach: float = NORMAL


Way = Callable[[Task], Answer]


def logit(chance: np.ndarray) -> np.ndarray:
    """(n,) log-odds."""
    held = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.log(held / (1 - held))


def sigmoid(odds: np.ndarray) -> np.ndarray:
    """(n,) probability."""
    return 1 / (1 + np.exp(-odds))


def likelihood(odds: np.ndarray, bags: Bags) -> float:
    """Log likelihood a display of the bags' clicks at these log-odds (n,)."""
    total = bags.clicks @ odds - bags.impressions @ np.logaddexp(0, odds)
    return float(total / bags.impressions.sum())


def blank(elements: Elements) -> Elements:
    """The same elements without content: no text, attributes or embeddings."""
    nothing = np.full(len(elements), "", object)
    none = (None,) * len(elements.slots)
    return replace(elements, text=nothing, attributes=nothing, embedding=none)


def joined(parts: list[Bags]) -> Bags:
    """The rows of all parts in order."""
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name, value in vars(parts[0]).items()
        if isinstance(value, np.ndarray)
    }
    context = {n: np.concatenate([p.context[n] for p in parts]) for n in parts[0].context}
    return Bags(**columns, context=context)


def thinned(bags: Bags, share: float, rng: np.random.Generator) -> Bags:
    """Each display kept with chance `share`, its click with it; rows left without any are gone."""
    if share == 1:
        return bags
    clicks = rng.binomial(bags.clicks.astype(np.int64), share)
    others = rng.binomial((bags.impressions - bags.clicks).astype(np.int64), share)
    fewer = replace(
        bags, clicks=clicks.astype(np.float64), impressions=(clicks + others).astype(np.float64)
    )
    return fewer.take(np.flatnonzero(fewer.impressions > 0))
