"""Smoothed empirical rates: what each element was clicked more often than its product."""

import numpy as np

from benchmarks.reward.levels import Levels, counted, own_codes, shared_codes
from benchmarks.reward.task import Answer, Task, likelihood, sigmoid
from model.bags import Bags
from model.elements import Elements

CREDITS = (10.0, 30.0, 100.0, 300.0)  # clicks at its product's rate that an element is given


def empirical_rates(task: Task) -> Answer:
    """Product's log-odds plus each element's smoothed log ratio; the credit suits the valid rows."""
    levels = Levels(task.train)
    best = max(
        CREDITS,
        key=lambda credit: likelihood(_odds(task, task.valid, levels, credit)[0], task.valid),
    )
    odds, element = _odds(task, task.judged, levels, best)
    return Answer(score=odds, click=sigmoid(odds), element=element)


def _odds(task: Task, bags: Bags, levels: Levels, credit: float) -> tuple[np.ndarray, np.ndarray]:
    ratio = _ratios(task.train, task.elements, levels, credit)
    element = np.where(bags.element >= 0, ratio[np.maximum(bags.element, 0)], 0.0)
    return levels.of(bags) + element.sum(1), element


def _ratios(train: Bags, elements: Elements, levels: Levels, credit: float) -> np.ndarray:
    """(m,) log ratio of clicks to those expected, of the element here, else of its id anywhere."""
    expected = train.impressions * sigmoid(levels.of(train))
    found = []
    for code in (own_codes(elements), shared_codes(elements)):
        seen, due = counted(train, code, train.clicks), counted(train, code, expected)
        found.append(np.log((seen + credit) / (due + credit))[code])
        found.append((due > 0)[code])
    own, known, shared, _ = found
    return np.where(known, own, shared)
