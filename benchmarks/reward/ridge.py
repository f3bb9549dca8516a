"""TF-IDF with ridge on deviations within the product, alone and beside a sentence embedding.

Nothing is stopped here, so the valid rows are learned from too. Penalties are chosen on folds of
products by the squared error of the deviation, weighted by clicks.
"""

import zlib
from collections.abc import Callable

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from benchmarks.reward.task import Answer, Task, joined
from model.bags import Bags

PENALTIES = (3.0, 10.0, 30.0)
EMBEDDED = (3.0, 10.0, 30.0)
FOLDS = 5
Design = np.ndarray | sparse.csr_matrix
Designs = Callable[[Task, Bags, Bags], tuple[Design, Design]]
SLOT = 0  # whose text and embedding are read


def tfidf_ridge(task: Task) -> Answer:
    """Words' and characters' part in the log click rate's deviation within the product."""
    return Answer(_chosen(_text, task, PENALTIES))


def embedding_ensemble(task: Task) -> Answer:
    """The sum of two ridges' standardised scores: TF-IDF and the sentence embedding."""
    scores = [_chosen(_text, task, PENALTIES), _chosen(_embedding, task, EMBEDDED)]
    return Answer(sum((s - s.mean()) / max(float(s.std()), 1e-12) for s in scores))


def _chosen(designs: Designs, task: Task, penalties: tuple[float, ...]) -> np.ndarray:
    """(n,) scores of the judged rows by the penalty with the least error on folds."""
    train = varied(joined([task.train, task.valid]))
    seen, asked = designs(task, train, task.judged)
    aim = deviation(train)
    fold = np.array([zlib.crc32(str(p).encode()) % FOLDS for p in train.product_id])
    errors = [_error(seen, aim, train.clicks, fold, penalty) for penalty in penalties]
    return Ridge(alpha=penalties[int(np.argmin(errors))]).fit(seen, aim).predict(asked)


def _error(
    seen: Design, aim: np.ndarray, weight: np.ndarray, fold: np.ndarray, penalty: float
) -> float:
    """Weighted squared error of folds that the fit did not see."""
    total = 0.0
    for number in range(FOLDS):
        left, kept = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if len(left) and len(kept):
            score = Ridge(alpha=penalty).fit(seen[kept], aim[kept]).predict(seen[left])
            total += float(weight[left] @ (score - aim[left]) ** 2)
    return total


def _text(task: Task, train: Bags, judged: Bags) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    said = task.elements.text.astype(str)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    rows = [bags.element[:, SLOT] for bags in (train, judged)]
    seen = sparse.hstack([v.fit_transform(said[rows[0]]) for v in (words, letters)]).tocsr()
    asked = sparse.hstack([v.transform(said[rows[1]]) for v in (words, letters)]).tocsr()
    return seen, asked


def _embedding(task: Task, train: Bags, judged: Bags) -> tuple[np.ndarray, np.ndarray]:
    given = task.elements.embedding[SLOT]
    if given is None:
        raise ValueError("the ensemble needs embeddings of the first slot, found none; embed them")
    return given[train.element[:, SLOT]], given[judged.element[:, SLOT]]


def varied(bags: Bags) -> Bags:
    """The rows of products that show several elements of the slot."""
    pairs = np.stack([_codes(bags), bags.element[:, SLOT]], 1)
    distinct = np.unique(pairs, axis=0)
    many = np.bincount(distinct[:, 0], minlength=1) > 1
    return bags.take(np.flatnonzero(many[_codes(bags)]))


def deviation(bags: Bags) -> np.ndarray:
    """(n,) log click rate less its mean over the product's rows."""
    rate = np.log((bags.clicks + 0.5) / bags.impressions)
    codes = _codes(bags)
    return rate - (np.bincount(codes, rate) / np.bincount(codes))[codes]


def _codes(bags: Bags) -> np.ndarray:
    return np.unique(bags.product_id.astype(str), return_inverse=True)[1].reshape(-1)
