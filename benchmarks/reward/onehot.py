"""Logistic regression on one-hot products, contexts and elements, L2, penalty chosen on valid rows."""

import numpy as np
from scipy import optimize, sparse

from benchmarks.reward.levels import own_codes, shared_codes
from benchmarks.reward.task import Answer, Task, likelihood, sigmoid
from model.bags import Bags

PRIORS = (0.07, 0.2)  # standard deviations of a weight in log-odds
LEVEL = 1.0  # of a product's weight and a context's
STEPS = 60
EDGES = (4, 8, 12, 16, 20)  # of a number's bins


def one_hot_regression(task: Task) -> Answer:
    """Log-odds as a sum of weights; an element has one here and one of its id anywhere."""
    columns = Columns(task)
    train, valid = columns.design(task.train), columns.design(task.valid)
    fits = [fit(train, task.train, columns.scale(prior)) for prior in PRIORS]
    weights = max(fits, key=lambda w: likelihood(valid @ w, task.valid))
    odds = columns.design(task.judged) @ weights
    return Answer(odds, sigmoid(odds), element=columns.element(task.judged, weights))


class Columns:
    """Places of weights: level, products, contexts, own elements, shared elements."""

    def __init__(self, task: Task) -> None:
        self._products = np.unique(task.train.product_id.astype(str))
        self._context = {
            name: np.unique(_category(task.train.context[name], kind))
            for name, kind in task.context.items()
        }
        self._kinds = task.context
        self._own, self._shared = own_codes(task.elements), shared_codes(task.elements)
        sizes = [1, len(self._products), *(len(v) for v in self._context.values())]
        self.level = sum(sizes)
        self._starts = np.cumsum([0, *sizes])
        self.first = self.level + len(self._own)
        self.width = self.first + (int(self._shared.max()) + 1 if len(self._shared) else 0)

    def scale(self, prior: float) -> np.ndarray:
        """(width,) standard deviation of each weight."""
        scale = np.full(self.width, prior)
        scale[: self.level] = LEVEL
        return scale

    def design(self, bags: Bags) -> sparse.csr_matrix:
        """(n, width) of ones; what training did not show has no column."""
        rows, places = [np.arange(len(bags))], [np.zeros(len(bags), np.int64)]
        values = [bags.product_id.astype(str)]
        values += [_category(bags.context[n], k) for n, k in self._kinds.items()]
        vocabularies = [self._products, *self._context.values()]
        for start, known, column in zip(self._starts[1:], vocabularies, values, strict=False):
            place = np.minimum(np.searchsorted(known, column), len(known) - 1)
            here = np.flatnonzero(known[place] == column)
            rows.append(here)
            places.append(start + place[here])
        for slot in range(bags.element.shape[1]):
            here = np.flatnonzero(bags.element[:, slot] >= 0)
            at = bags.element[here, slot]
            rows += [here, here]
            places += [self.level + self._own[at], self.first + self._shared[at]]
        row, place = np.concatenate(rows), np.concatenate(places)
        return sparse.csr_matrix((np.ones(len(row)), (row, place)), (len(bags), self.width))

    def element(self, bags: Bags, weights: np.ndarray) -> np.ndarray:
        """(n, S) weight of each shown element."""
        at = np.maximum(bags.element, 0)
        each = weights[self.level + self._own[at]] + weights[self.first + self._shared[at]]
        return np.where(bags.element >= 0, each, 0.0)


def _category(values: np.ndarray, kind: str) -> np.ndarray:
    return np.digitize(values, EDGES).astype(str) if kind == "number" else values.astype(str)


def fit(design: sparse.csr_matrix, bags: Bags, scale: np.ndarray) -> np.ndarray:
    """(width,) posterior mode under normal priors, by L-BFGS from the overall rate."""
    back = design.T.tocsr()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = design @ weights
        value = bags.impressions @ np.logaddexp(0, odds) - bags.clicks @ odds
        slope = back @ (bags.impressions * sigmoid(odds) - bags.clicks)
        held = weights / scale**2
        held[0] = 0
        return float(value + 0.5 * weights @ held), slope + held

    start = np.zeros(len(scale))
    rate = (bags.clicks.sum() + 0.5) / (bags.impressions.sum() + 1)
    start[0] = np.log(rate / (1 - rate))
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return found.x
