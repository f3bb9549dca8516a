"""Reward models that the generator never saw, cross-fitted on the held-out rows.

Rows of one fold are predicted by a model fitted on the other, so the doubly robust estimate does
not learn from the rows that it judges.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from components.errors import Refused
from components.train_reward.stage import Settings, fit, tuning_rows
from components.training_set import TrainingSet
from model.bags import Bags
from model.reward.fit import Reward

FOLDS = 2
QUICK = {"members": 1, "steps": 80}  # a judge needs a fair prediction, not its spread


@dataclass(frozen=True)
class Judge:
    """A reward model a fold, and each row's fold (n,)."""

    models: tuple[Reward, ...]
    fold: np.ndarray

    def predict(self, bags: Bags, rows: TrainingSet, fold: np.ndarray | None = None) -> np.ndarray:
        """(n,) predicted reward of each bag by the model that did not learn from its fold."""
        at = self.fold if fold is None else fold
        predicted = np.zeros(len(bags))
        for number, reward in enumerate(self.models):
            mine = np.flatnonzero(at == number)
            if len(mine):
                predicted[mine] = reward.predict(bags.take(mine), rows.elements).reward
        return predicted


def cross_fit(rows: TrainingSet, holdout: Bags, settings: Settings) -> Judge | None:
    """The judge of the held-out rows; None where a fold has too little to learn from."""
    fold = folds(holdout, settings.by_product)
    models = []
    for number in range(FOLDS):
        learned = holdout.take(np.flatnonzero(fold != number))
        if len(learned) == 0 or learned.clicks.sum() == 0:
            return None
        tuning = tuning_rows(learned, settings.by_product)
        options = {**settings.options, **QUICK}
        other = settings.model_copy(update={"seed": settings.seed + 1 + number, "options": options})
        try:
            models.append(fit(rows, learned, tuning, other, "cpu"))
        except Refused:
            return None
    return Judge(tuple(models), fold)


def folds(bags: Bags, by_product: bool) -> np.ndarray:
    """(n,) the fold of each row, the same for all rows of a cluster (or product)."""
    names, codes = np.unique(
        bags.product_id if by_product else bags.cluster_id, return_inverse=True
    )
    chosen = np.array([zlib.crc32(b"fold" + str(name).encode()) % FOLDS for name in names])
    return chosen[codes]
