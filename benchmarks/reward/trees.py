"""LightGBM on flat features of the combination: what its slots hold, how they did, the context."""

from typing import Any

import numpy as np

from benchmarks.reward.content import DIRECTIONS, content
from benchmarks.reward.levels import Levels, counted, own_codes, shared_codes
from benchmarks.reward.task import Answer, Task, sigmoid
from model.bags import Bags

SETTINGS = {
    "objective": "cross_entropy",
    "learning_rate": 0.08,
    "max_bin": 63,
    "num_leaves": 15,
    "min_sum_hessian_in_leaf": 20.0,
    "feature_fraction": 0.5,
    "lambda_l2": 10.0,
    "verbosity": -1,
    "num_threads": 1,
    "seed": 0,
    "deterministic": True,
}
ROUNDS, PATIENCE, CREDIT, FOLDS = 200, 20, 30.0, 5
MANY, FEW = 500_000, 12  # from so many rows on: rows a tree, and directions of content


def boosted_trees(task: Task) -> Answer:
    """Trees on top of the product's smoothed level; rounds stop on the valid rows."""
    import lightgbm

    flat = _Flat(task)
    parts = []
    for bags, inside in ((task.train, True), (task.valid, False)):
        rate = bags.clicks / np.maximum(bags.impressions, 1)
        start = flat.levels.of(bags)
        table = flat.table(bags, inside)
        parts.append(lightgbm.Dataset(table, rate, weight=bags.impressions, init_score=start))
    quiet = lightgbm.early_stopping(PATIENCE, verbose=False)
    drawn = {"bagging_fraction": min(1.0, MANY / len(task.train)), "bagging_freq": 1}
    trees = lightgbm.train(
        SETTINGS | drawn, parts[0], ROUNDS, valid_sets=[parts[1]], callbacks=[quiet]
    )
    table = flat.table(task.judged, inside=False)
    odds = trees.predict(table, raw_score=True) + flat.levels.of(task.judged)
    return Answer(odds, sigmoid(odds), element=flat.shared_out(trees, table))


class _Flat:
    """Columns by slot: content, own rate of the element and of its id; then the context."""

    def __init__(self, task: Task) -> None:
        self._task, self.levels = task, Levels(task.train)
        trained = np.unique(task.train.element[task.train.element >= 0])
        directions = DIRECTIONS if len(task.train) < MANY else FEW
        given = content(task.elements, trained, directions)
        slots = [given[task.elements.slot == s] for s in range(len(task.elements.slots))]
        moving = [np.flatnonzero(np.ptp(g, axis=0) > 0) if len(g) else [] for g in slots]
        self._content = [given[:, columns] for columns in moving]
        self._codes = (own_codes(task.elements), shared_codes(task.elements))
        self._slots = task.train.element.shape[1]
        train = task.train
        self._fold = np.random.default_rng(0).integers(FOLDS, size=len(train))
        due = train.impressions * sigmoid(self.levels.of(train))
        self._sums = [
            [
                (
                    counted(train.take(rows), code, train.clicks[rows]),
                    counted(train.take(rows), code, due[rows]),
                )
                for rows in (np.flatnonzero(self._fold == f) for f in range(FOLDS))
            ]
            for code in self._codes
        ]

    def table(self, bags: Bags, inside: bool) -> np.ndarray:
        """(n, F) float32; rows of training read rates of the folds that they are not in."""
        blocks = [self._slot(bags, slot, inside) for slot in range(self._slots)]
        for name, kind in self._task.context.items():
            column = bags.context[name]
            if kind == "number":
                blocks.append(column.astype(np.float32)[:, None])
                continue
            known = np.unique(self._task.train.context[name].astype(str))
            blocks.append((column.astype(str)[:, None] == known[None]).astype(np.float32))
        return np.concatenate(blocks, axis=1)

    def _slot(self, bags: Bags, slot: int, inside: bool) -> np.ndarray:
        shown = bags.element[:, slot] >= 0
        at = np.maximum(bags.element[:, slot], 0)
        block = [np.where(shown[:, None], self._content[slot][at], 0.0)]
        for code, folds in zip(self._codes, self._sums, strict=True):
            whole = [sum(part) for part in zip(*folds, strict=True)]
            ratio = self._ratio(*whole)[code[at]]
            for fold in range(FOLDS if inside else 0):
                rest = self._ratio(*(w - p for w, p in zip(whole, folds[fold], strict=True)))
                mine = self._fold == fold
                ratio[mine] = rest[code[at[mine]]]
            block.append(np.where(shown, ratio, 0.0)[:, None])
        return np.concatenate(block, axis=1).astype(np.float32)

    @staticmethod
    def _ratio(clicks: np.ndarray, due: np.ndarray) -> np.ndarray:
        return np.log((clicks + CREDIT) / (due + CREDIT))

    def shared_out(self, trees: Any, table: np.ndarray) -> np.ndarray:
        """(n, S) sum of the slot's columns' Shapley values (Lundberg and Lee 2017)."""
        parts = np.asarray(trees.predict(table, pred_contrib=True))
        wide = [c.shape[1] + len(self._codes) for c in self._content]
        ends = np.cumsum(wide)
        pairs = zip(ends - wide, ends, strict=True)
        return np.stack([parts[:, start:end].sum(1) for start, end in pairs], axis=1)
