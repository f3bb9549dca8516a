"""The table of the shop with known truth: every way that predicts rates, and our targets."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.reward import ours, truth
from benchmarks.reward.ceiling import truths_own_form
from benchmarks.reward.jobs import answers
from benchmarks.reward.onehot import one_hot_regression
from benchmarks.reward.pooling import attention_mil
from benchmarks.reward.rates import empirical_rates
from benchmarks.reward.shop import World, make_world, task_of
from benchmarks.reward.table import between, number, table, target
from benchmarks.reward.task import Task, Way
from benchmarks.reward.trees import boosted_trees
from benchmarks.reward.truth import Asked, Marks
from model.bags import Bags

OURS = "reward model"
WAYS: dict[str, Way] = {
    "smoothed rates": empirical_rates,
    "one-hot logistic regression": one_hot_regression,
    "LightGBM": boosted_trees,
    "attention MIL": attention_mil,
    OURS: ours.reward_model,
    "ceiling: the truth's own form": truths_own_form,
}
DOUBLED = "a product's appeal doubled"
QUESTIONS = 12_000
HEAD = (
    "way",
    "rank",
    "rank, alone",
    "error",
    "coverage",
    "excess",
    "ours less it: rank",
    "excess",
    "s",
)


def measure(
    seed: int, products: int, clicks: int, workers: int, ways: Mapping[str, Way], twice: bool
) -> tuple[Bags, dict[str, tuple[Any, float]], Asked]:
    """(the log, marks and seconds by way, the questions); twice: also with the appeal doubled,
    under DOUBLED."""
    world = make_world(seed, products)
    displays = round(clicks / world.fresh(QUESTIONS, 7)[1].mean())
    log = world.log(displays, 1)
    asked = truth.ask(world, QUESTIONS, 77)
    task = task_of(world, log, asked.bags)
    jobs: dict[str, Callable[[], Any]] = {}
    if twice:
        jobs[DOUBLED] = partial(doubled, world, displays, task, asked)
    jobs |= {name: partial(mark, way, task, asked) for name, way in ways.items()}
    return log, answers(jobs, workers), asked


def mark(way: Way, task: Task, asked: Asked) -> Marks:
    """A way's marks on the questions."""
    return truth.marks(asked, way(task))


def doubled(world: World, displays: int, task: Task, asked: Asked) -> tuple[float, float]:
    """(share of elements of every other product inside their interval when its odds are doubled,
    root mean square move in log-odds). The same chances are drawn, so little else changes."""
    chosen = np.arange(len(world.shop.truth.products)) % 2 == 1
    dearer = world.dearer(chosen, 2.0)
    even = np.flatnonzero(asked.kind == 0)
    judged = replace(task, judged=asked.bags.take(even))
    first = ours.reward_model(judged)
    log = dearer.log(displays, 1)
    second = ours.reward_model(task_of(dearer, log, judged.judged))
    assert first.element is not None
    assert first.element_spread is not None
    assert second.element is not None
    shown, elements = judged.judged.element, task.elements
    before, after = (truth.means(a.element, shown, elements) for a in (first, second))
    spread = truth.element_means(first.element_spread, shown, len(elements))
    named = np.isin(elements.product_id, np.array(world.shop.truth.products, object)[chosen])
    inside = truth.doubled_inside(before[named], after[named], first.reach * spread[named])
    return inside, float(np.sqrt(np.nanmean((after - before)[named] ** 2)))


def report(log: Bags, found: Mapping[str, tuple[Any, float]], asked: Asked) -> str:
    """The table against our model on the same questions, and the targets."""
    moves = found[DOUBLED][0] if DOUBLED in found else None
    marks = {name: value for name, (value, _) in found.items() if name != DOUBLED}
    rows = [row(name, m, marks[OURS], found[name][1]) for name, m in marks.items()]
    products = len(np.unique(asked.elements.product_id))
    title = (
        f"Shop with known truth: {products} products, {len(asked.elements):,} elements, {len(log):,} "
        f"displays, {int(log.clicks.sum()):,} clicks; rank: Spearman with the true effect, alone: "
        "without interactions; excess log loss x 100,000; intervals over products"
    )
    return "\n".join([table(title, HEAD, rows), "", *_targets(marks[OURS], moves)])


def row(name: str, marks: Marks, mine: Marks, seconds: float) -> tuple[str, ...]:
    """One line of the table."""
    low, high = truth.paired_rank(marks, mine)
    less, more = truth.paired_excess(marks, mine)
    same = marks is mine
    return (
        name,
        number(marks.rank),
        number(marks.rank_alone),
        number(marks.error),
        number(marks.coverage),
        number(marks.excess, 1),
        "" if same else between(low, high, 3, share=False),
        "" if same else between(less, more, 1, share=False),
        number(seconds, 0),
    )


def _targets(mine: Marks, moves: tuple[float, float] | None) -> list[str]:
    lines = [
        target(mine.rank >= 0.9, f"rank correlation with the true effect: {mine.rank:.3f} (0.9)"),
        target(
            mine.error < 0.2, f"calibration error: {mine.error:.3f} of the base rate (under 0.2)"
        ),
        target(
            0.9 <= mine.coverage <= 0.98,
            f"coverage of 95 % intervals of fresh combinations' rates: {mine.coverage:.1%} (90 to 98 %)",
        ),
    ]
    if moves is not None:
        inside, moved = moves
        lines.append(
            target(
                inside >= 0.95,
                f"appeal doubled: {inside:.1%} of its elements' attributions stay inside their 95 % "
                f"interval (95 %), moved by {moved:.4f} log-odds",
            )
        )
    return lines
