"""Negative control: texts that readers of the card did not see must earn no attribution.

The model is given lede and excerpt as slots. Arms of a test with the same headline and image differ
in nothing that was shown, so their counts may be exchanged: the size of a control's attribution
among such arms is compared with its size after counts were shuffled among them and the model was
fitted again. All else, what varies together with headlines included, stays as it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import stats

from benchmarks.reward.jobs import answers
from benchmarks.reward.ours import Setting, answer, learned
from benchmarks.reward.table import number, table, target
from benchmarks.reward.task import Task
from model.bags import Bags

SHOWN = 2  # slots that readers saw come first


@dataclass(frozen=True)
class Control:
    """Attribution's size in a slot (log-odds), what chance gives, and how many rows speak."""

    slot: str
    rows: int
    size: float
    chance: tuple[float, ...]

    @property
    def highest(self) -> float:
        """The 97.5 % bound of one more draw of chance: Student's prediction interval."""
        n = len(self.chance)
        wide = float(stats.t.ppf(0.975, n - 1)) * math.sqrt(1 + 1 / n)
        return float(np.mean(self.chance) + wide * np.std(self.chance, ddof=1))

    @property
    def silent(self) -> bool:
        """Whether the control earned no more than chance."""
        return self.size <= self.highest


def alike(bags: Bags) -> np.ndarray:
    """(n,) code of the rows' product and shown elements."""
    shown = np.column_stack([_codes(bags.product_id), bags.element[:, :SHOWN]])
    return np.unique(shown, axis=0, return_inverse=True)[1].reshape(-1)


def _codes(names: np.ndarray) -> np.ndarray:
    return np.unique(names.astype(str), return_inverse=True)[1].reshape(-1)


def shuffled(bags: Bags, rng: np.random.Generator) -> Bags:
    """Counts exchanged among rows that were shown alike."""
    code = alike(bags)
    order = np.argsort(code, kind="stable")
    drawn = np.lexsort((rng.random(len(code)), code))
    clicks, shown = bags.clicks.copy(), bags.impressions.copy()
    clicks[order], shown[order] = bags.clicks[drawn], bags.impressions[drawn]
    return replace(bags, clicks=clicks, impressions=shown)


def sizes(bags: Bags, element: np.ndarray) -> list[tuple[int, float]]:
    """For each slot (rows that differ among rows shown alike, root mean square there).

    element (n, S) attribution; shown slots are compared within the product instead.
    """
    groups = [_codes(bags.product_id)] * SHOWN + [alike(bags)] * (element.shape[1] - SHOWN)
    return [_size(g, bags.element[:, s], element[:, s]) for s, g in enumerate(groups)]


def _size(code: np.ndarray, shown: np.ndarray, worth: np.ndarray) -> tuple[int, float]:
    rows = _several(code, shown)
    if not rows.any():
        return 0, 0.0
    level = np.bincount(code, worth) / np.maximum(np.bincount(code), 1)
    return int(rows.sum()), float(np.sqrt(np.mean((worth - level[code])[rows] ** 2)))


def varied(bags: Bags, slot: int) -> np.ndarray:
    """(n,) bool: the row's product shows several elements of the slot."""
    return _several(_codes(bags.product_id), bags.element[:, slot])


def _several(code: np.ndarray, shown: np.ndarray) -> np.ndarray:
    pairs = np.unique(np.stack([code, shown], 1), axis=0)
    return np.bincount(pairs[:, 0], minlength=int(code.max()) + 1)[code] > 1


def controls(
    task: Task, setting: Setting, draws: int, workers: int, seed: int = 0, say: bool = True
) -> list[Control]:
    """One for each slot after the shown ones; task.judged are the rows whose attribution counts."""
    rng = np.random.default_rng(seed)
    # a row may be both learned from and looked at, so all counts are exchanged before they part
    tasks = {0: task} | {
        d: replace(task, train=shuffled(task.train, rng), valid=shuffled(task.valid, rng))
        for d in range(1, draws + 1)
    }
    found = answers({d: partial(_measured, t, setting) for d, t in tasks.items()}, workers, say)
    return _gathered(task.elements.slots, {d: value for d, (value, _) in found.items()})


def _measured(task: Task, setting: Setting) -> list[tuple[int, float]]:
    return sizes(task.judged, answer(learned(task, setting), task).element)


def _gathered(slots: Sequence[str], found: Mapping[int, list[tuple[int, float]]]) -> list[Control]:
    return [
        Control(
            name,
            found[0][s][0],
            found[0][s][1],
            tuple(value[s][1] for draw, value in found.items() if draw > 0),
        )
        for s, name in enumerate(slots)
    ]


def report(found: Sequence[Control]) -> str:
    """The table of all slots, and a target line for each control."""
    rows = [
        (
            c.slot + ("" if s < SHOWN else " (not shown)"),
            str(c.rows),
            number(c.size, 4),
            number(float(np.mean(c.chance)), 4),
            "-" if s < SHOWN else number(c.highest, 4),
        )
        for s, c in enumerate(found)
    ]
    head = ("slot", "rows", "size", "shuffled, mean", "shuffled, 97.5 %")
    title = (
        "Negative control: root mean square attribution (log-odds) among arms of a test; controls "
        f"among arms shown alike, {len(found[0].chance)} refits on shuffled counts"
    )
    lines = [
        target(
            c.silent, f"{c.slot} earns no more than chance: {c.size:.4f} (at most {c.highest:.4f})"
        )
        for c in found[SHOWN:]
    ]
    return "\n".join([table(title, head, rows), "", *lines])
