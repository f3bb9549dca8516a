"""What each part of our model is worth, and how it does as clicks get rarer: real and known truth.

Each row is one fit on the archive and one on a shop's log, judged as in the main tables; intervals
are of the difference to the whole model (ablations), or to our model at the same share (sparsity).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from benchmarks.reward import ours, truth
from benchmarks.reward.jobs import answers
from benchmarks.reward.known import OURS, QUESTIONS, mark
from benchmarks.reward.lift import Gained, paired
from benchmarks.reward.lifts import gain_of
from benchmarks.reward.onehot import one_hot_regression
from benchmarks.reward.pooling import Pool, pooled
from benchmarks.reward.rates import empirical_rates
from benchmarks.reward.ridge import embedding_ensemble
from benchmarks.reward.shop import World, task_of, with_history
from benchmarks.reward.table import between, number, percent, table
from benchmarks.reward.task import Answer, Task, Way, thinned
from benchmarks.reward.trees import boosted_trees
from benchmarks.reward.truth import Asked, Marks
from benchmarks.reward.upworthy import Archive
from model.bags import Bags

WHOLE = "the whole model"
SHARES = {"1": 1.0, "1/3": 1 / 3, "1/10": 0.1, "1/30": 1 / 30}
HEAD = (
    "",
    "lift",
    "difference",
    "rank",
    "difference",
    "error",
    "coverage",
    "excess",
    "difference",
    "s",
)
NEW = "no history"  # every element of a later test is new: there is none to leave out
SHOP, ARCHIVE = "shop", "upworthy"


@dataclass(frozen=True, eq=False)
class Places:
    """Where rows are measured: tasks of the archive's folds (may be none), and the shop's log."""

    archive: list[Task]
    world: World
    log: Bags
    asked: Asked

    @cached_property
    def shop(self) -> Task:
        """The shop's task; its history is that of this log."""
        return with_history(task_of(self.world, self.log, self.asked.bags), self.log)


def places(
    archive: Archive | None,
    folds: Sequence[tuple[float, float]],
    world: World,
    size: int,
    questions: int = QUESTIONS,
) -> Places:
    """The archive's folds, and a log of the shop."""
    tasks = [archive.task(*fold) for fold in folds] if archive else []
    return Places(tasks, world, world.log(size, 1), truth.ask(world, questions, 77))


def ablations(where: Places, workers: int) -> str:
    """The whole model, and without each part; then three poolings of one small network."""
    ways: dict[str, Way] = {WHOLE: ours.reward_model}
    ways |= {n: partial(ours.reward_model, setting=s) for n, s in ours.ABLATIONS.items()}
    kinds: tuple[Pool, ...] = ("additive", "noisy-or", "attention")
    ways |= {f"small network, {pool}": partial(_pooled, pool=pool) for pool in kinds}
    jobs = _jobs({(name,): (way, where) for name, way in ways.items()})
    jobs = {key: job for key, job in jobs.items() if key[0] != NEW or key[-2] == SHOP}
    found = answers(jobs, workers)
    whole = _of(found, (WHOLE,))
    rows = [_row(name, _of(found, (name,)), None if name == WHOLE else whole) for name in ways]
    return table(_title("Ablations: the whole model and without each part", where), HEAD, rows)


def sparsity(where: Places, workers: int) -> str:
    """Our model and rivals on random shares of the training displays."""
    ways: dict[str, tuple[Way | None, Way | None]] = {
        OURS: (ours.reward_model, ours.reward_model),
        "one-hot logistic regression": (None, one_hot_regression),
        "smoothed rates": (None, empirical_rates),
        "LightGBM": (boosted_trees, boosted_trees),
        "attention MIL": (partial(_pooled, pool="attention"),) * 2,
        "TF-IDF + embedding ensemble": (embedding_ensemble, None),
    }
    jobs: dict[tuple[Any, ...], Callable[[], Any]] = {}
    for share, part in SHARES.items():
        fewer = _fewer(where, part)
        for name, pair in ways.items():
            jobs |= _jobs({(share, name): (None, fewer)}, pair)
    found = answers(jobs, workers)
    rows = []
    for share in SHARES:
        mine = _of(found, (share, OURS))
        for name in ways:
            base = None if name == OURS else mine
            rows.append(_row(f"{share} {name}", _of(found, (share, name)), base))
    title = _title("Sparsity: random shares of the training displays, differences to ours", where)
    return table(title, HEAD, rows)


def _pooled(task: Task, pool: Pool) -> Answer:
    return pooled(task, pool)


def _fewer(where: Places, share: float) -> Places:
    def less(task: Task, seed: int) -> Task:
        rng = np.random.default_rng([seed, round(1 / share)])
        return replace(
            task, train=thinned(task.train, share, rng), valid=thinned(task.valid, share, rng)
        )

    archive = [less(task, seed) for seed, task in enumerate(where.archive)]
    log = thinned(where.log, share, np.random.default_rng([99, round(1 / share)]))
    return Places(archive, where.world, log, where.asked)


def _jobs(
    ways: Mapping[tuple[str, ...], tuple[Way | None, Places]],
    pair: tuple[Way | None, Way | None] | None = None,
) -> dict[tuple[Any, ...], Callable[[], Any]]:
    """A job for every fold of the archive and one for the shop; pair: another way for each."""
    jobs: dict[tuple[Any, ...], Callable[[], Any]] = {}
    for key, (way, where) in ways.items():
        real, known = pair or (way, way)
        if real is not None:
            for fold, task in enumerate(where.archive):
                jobs[*key, ARCHIVE, fold] = partial(gain_of, real, task)
        if known is not None:
            jobs[*key, SHOP, 0] = partial(mark, known, where.shop, where.asked)
    return jobs


@dataclass(frozen=True, eq=False)
class Found:
    """What a row measured; None where it was not."""

    gain: Gained | None
    marks: Marks | None
    seconds: float


def _of(found: Mapping[tuple[Any, ...], tuple[Any, float]], key: tuple[str, ...]) -> Found:
    mine = {k[len(key) :]: v for k, v in found.items() if k[: len(key)] == key}
    gains = [value for (place, _), (value, _) in mine.items() if place == ARCHIVE]
    marks = [value for (place, _), (value, _) in mine.items() if place == SHOP]
    seconds = sum(s for _, s in mine.values())
    return Found(Gained.joined(gains) if gains else None, marks[0] if marks else None, seconds)


def _row(name: str, mine: Found, base: Found | None) -> tuple[str, ...]:
    """One line; without a base there are no differences."""
    return (name, *_real(mine.gain, base), *_known(mine.marks, base), number(mine.seconds, 0))


def _real(gain: Gained | None, base: Found | None) -> tuple[str, str]:
    if gain is None:
        return "-", "-"
    if base is None or base.gain is None:
        return percent(gain.lift), ""
    _, low, high = paired(base.gain, gain)
    return percent(gain.lift), between(low, high)


def _known(marks: Marks | None, base: Found | None) -> tuple[str, ...]:
    if marks is None:
        return ("-",) * 6
    rank = excess = ""
    if base is not None and base.marks is not None:
        rank = between(*truth.paired_rank(base.marks, marks), 3, share=False)
        excess = between(*truth.paired_excess(base.marks, marks), 1, share=False)
    held = (marks.error, marks.coverage)
    return (number(marks.rank), rank, *map(number, held), number(marks.excess, 1), excess)


def _title(what: str, where: Places) -> str:
    clicks = where.log.clicks.sum()
    tests = sum(len(np.unique(task.judged.product_id.astype(str))) for task in where.archive)
    return f"{what}; lift over {tests} Upworthy tests, the rest in a shop's {clicks:,.0f} clicks"
