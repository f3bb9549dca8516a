"""What rivals read of an element: numbers of fixed width from its text and its embedding."""

import numpy as np
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from model.elements import Elements

DIRECTIONS = 48


def content(elements: Elements, trained: np.ndarray, directions: int = DIRECTIONS) -> np.ndarray:
    """(m, F) float32: directions of TF-IDF and of each slot's embedding, scaled to length about 1.

    Fitted on the rows `trained` alone; an element without content is 0 there.
    """
    blocks = [_text(elements.text.astype(str), trained, directions), _slots(elements)]
    blocks += [
        _embedding(given, np.intersect1d(trained, np.flatnonzero(given.any(axis=1))), directions)
        for given in elements.embedding
        if given is not None
    ]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _slots(elements: Elements) -> np.ndarray:
    return np.eye(len(elements.slots))[elements.slot]


def _text(text: np.ndarray, trained: np.ndarray, directions: int) -> np.ndarray:
    said = [t for t in text[trained].tolist() if t]
    if len(set(said)) < 3:
        return np.zeros((len(text), 0))
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\w+")
    try:
        seen = words.fit_transform(said)
    except ValueError:  # no word is said twice
        return np.zeros((len(text), 0))
    width = min(directions, seen.shape[1] - 1, seen.shape[0] - 1)
    if width < 1:
        return np.zeros((len(text), 0))
    turned = TruncatedSVD(width, random_state=0).fit(seen).transform(words.transform(text))
    return turned / max(float(np.sqrt((turned[trained] ** 2).sum(1).mean())), 1e-9)


def _embedding(given: np.ndarray, rows: np.ndarray, directions: int) -> np.ndarray:
    width = min(directions, given.shape[1], len(rows))
    if width < 2:
        return np.zeros((len(given), 0))
    turn = PCA(width, random_state=0).fit(given[rows])
    turned = np.where(given.any(axis=1)[:, None], turn.transform(given), 0.0)
    return turned / max(float(np.sqrt((turned[rows] ** 2).sum(1).mean())), 1e-9)
