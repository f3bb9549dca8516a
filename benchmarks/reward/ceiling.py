"""What could be known at most: the posterior mode of the truth's own additive form and priors.

The simulated shop's effects come from words, a direction of the image's embedding, and the element
itself, with normal priors that this way is told. Interactions and context by element are left out,
so a model that finds them can pass it, though not by much.
"""

import numpy as np
from scipy import sparse

from benchmarks.reward.onehot import Columns, fit
from benchmarks.reward.task import Answer, Task, joined, sigmoid
from examples.storefront.truth import EMBEDDING, SPREAD
from model.bags import Bags
from model.elements import Elements

DIRECTION = 0.11 / EMBEDDING**0.5  # of a direction's weight, as truth.py draws it
OWN = 0.06  # the element's own effect with its mean interactions


def truths_own_form(task: Task) -> Answer:
    """Log-odds with one weight a word, a direction, an element, a product and a context."""
    columns, content = Columns(task), _content(task.elements)
    words = content.shape[1] - EMBEDDING
    scale = np.concatenate(
        [
            columns.scale(OWN)[: columns.first],
            np.full(words, SPREAD["word"]),
            np.full(EMBEDDING, DIRECTION),
        ]
    )
    learned = joined([task.train, task.valid])
    weights = fit(_design(columns, content, learned), learned, scale)
    odds = _design(columns, content, task.judged) @ weights
    each = weights[columns.level : columns.first] + content @ weights[columns.first :]
    at = task.judged.element
    element = np.where(at >= 0, each[np.maximum(at, 0)], 0.0)
    return Answer(odds, sigmoid(odds), element=element)


def _design(columns: Columns, content: sparse.csr_matrix, bags: Bags) -> sparse.csr_matrix:
    """Products, contexts and elements one-hot, then the sum of the shown elements' content."""
    here, slot = np.nonzero(bags.element >= 0)
    shown = (np.ones(len(here)), (here, bags.element[here, slot]))
    said = sparse.csr_matrix(shown, (len(bags), content.shape[0])) @ content
    return sparse.hstack([columns.design(bags)[:, : columns.first], said]).tocsr()


def _content(elements: Elements) -> sparse.csr_matrix:
    """(m, words + EMBEDDING): the words that the truth reads of an element, then its embedding."""
    known: dict[tuple[int, str], int] = {}
    rows, places = [], []
    for row, (slot, text) in enumerate(zip(elements.slot.tolist(), elements.text, strict=True)):
        said = text.split()[:2] if elements.slots[slot] == "title" else [text] * bool(text)
        for word in said:
            rows.append(row)
            places.append(known.setdefault((slot, word), len(known)))
    shape = (len(elements), len(known))
    words = sparse.csr_matrix((np.ones(len(rows)), (rows, places)), shape)
    given = next(e for e in elements.embedding if e is not None)
    return sparse.hstack([words, sparse.csr_matrix(given)]).tocsr()
