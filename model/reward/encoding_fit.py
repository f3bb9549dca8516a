"""The encoding of a log: vocabularies, scales and landmarks of what was shown in it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from model.bags import Bags
from model.elements import Elements
from model.reward.encoding import Encoding
from model.reward.history import first_history, lift_places, scale_of, untold
from model.reward.keys import contents_of, own_keys, salts, shared_keys
from model.reward.smooth import Landmarks, fit_landmarks
from model.reward.text import document_weights

MOST_VALUES = 256


def fit_encoding(
    elements: Elements,
    trained: np.ndarray,
    bags: Bags,
    kinds: Mapping[str, str],
    buckets: int,
    bins: int,
    landmarks: int,
) -> Encoding:
    """The encoding of the training rows; `trained` are the rows of elements that were shown."""
    shown = elements.take(trained)
    contents, context = contents_of(shown), bags.context
    draft = Encoding(
        slots=elements.slots,
        context=dict(kinds),
        categories={n: _values(context[n]) for n, k in kinds.items() if k != "number"},
        numbers={n: _scale(context[n], bins) for n, k in kinds.items() if k == "number"},
        products=sorted(set(bags.product_id.astype(str).tolist())),
        shared=_repeated(shown, contents),
        own=sorted(own_keys(shown).tolist()),
        embedding=[_embedding_scale(shown, slot) for slot in range(len(elements.slots))],
        history={},
        buckets=buckets,
        idf=document_weights(contents, salts(shown), buckets),
        landmarks=[_fit_landmarks(shown, slot, landmarks) for slot in range(len(elements.slots))],
        before=np.zeros((0, bags.history.shape[2]), np.float32),
    )
    return _with_history(draft, elements, bags)


def _with_history(draft: Encoding, elements: Elements, bags: Bags) -> Encoding:
    """The encoding with what was known before its rows were shown, and how it is made even."""
    lifts = lift_places(elements.history_names)
    rate = float(bags.clicks.sum() / max(bags.impressions.sum(), 1.0))
    if not bags.history.shape[2]:
        return replace(draft, history=scale_of(bags.history, lifts, rate))
    own = draft.own_codes(elements)
    before = first_history(bags, own, len(draft.own))
    here = bags.element >= 0
    left = untold(bags.history[here], own[bags.element[here]], before)
    return replace(draft, before=before, history=scale_of(left, lifts, rate))


def _values(column: np.ndarray) -> list[str]:
    values, counts = np.unique(column.astype(str), return_counts=True)
    return sorted(values[np.argsort(-counts, kind="stable")[:MOST_VALUES]].tolist())


def _scale(column: np.ndarray, bins: int) -> dict[str, Any]:
    known = column[np.isfinite(column)]
    if not len(known):
        return {"mean": 0.0, "std": 1.0, "edges": []}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    return {
        "mean": float(known.mean()),
        "std": float(known.std()) or 1.0,
        "edges": edges.tolist(),
    }


def _embedding_scale(shown: Elements, slot: int) -> dict[str, list[float]] | None:
    """Mean by direction and one deviation for all: what hardly varies stays quiet."""
    rows = _given(shown, slot)
    if rows is None:
        return None
    mean = rows.mean(axis=0)
    spread = float(np.sqrt(((rows - mean) ** 2).mean()))
    return {"mean": mean.tolist(), "std": [spread if spread > 1e-8 else 1.0] * rows.shape[1]}


def _fit_landmarks(shown: Elements, slot: int, most: int) -> Landmarks | None:
    rows = _given(shown, slot)
    return None if rows is None else fit_landmarks(rows, most)


def _given(shown: Elements, slot: int) -> np.ndarray | None:
    """(k, d) float64 embeddings of the slot's elements that have one; None where none has."""
    given = shown.embedding[slot]
    if given is None:
        return None
    rows = given[(shown.slot == slot) & given.any(axis=1)].astype(np.float64)
    return rows if len(rows) else None


def _repeated(shown: Elements, contents: list[str]) -> list[str]:
    """Keys of elements that several products share."""
    owners: dict[str, set[str]] = defaultdict(set)
    keys = shared_keys(shown, contents).tolist()
    for key, product in zip(keys, shown.product_id.tolist(), strict=True):
        owners[key].add(product)
    return sorted(key for key, products in owners.items() if len(products) > 1)
