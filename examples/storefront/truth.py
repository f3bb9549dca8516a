"""The shop whose truth is known: products, candidates with content, and the odds of a click.

    log-odds = base + product + context + sum_s element + sum_s<t pair + sum_s context x element

Element effects come partly from content (words of a text, direction of an embedding), so that a
new element can be judged by what it says; the rest is the element's own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

SLOTS = ("title", "image", "highlight", "tag")
CONTEXT = {
    "placement": ("home", "search", "cart"),
    "device": ("desk", "phone", "tablet"),
    "segment": ("new", "returning", "loyal"),
}
BASE = -3.8
EMBEDDING = 16
MOST = 12
FEWEST = 3
FACTORS = 3
SPREAD = {
    "product": 0.45,
    "context": 0.2,
    "own": 0.05,
    "word": 0.085,
    "pair": 0.045,
    "crossed": 0.03,
}

_TITLE_WORDS = [
    "soft",
    "warm",
    "light",
    "bold",
    "classic",
    "modern",
    "daily",
    "premium",
    "eco",
    "travel",
    "slim",
    "large",
    "original",
    "handmade",
    "quiet",
    "fast",
    "smart",
    "clean",
    "fresh",
    "durable",
]
_NOUNS = [
    "jacket",
    "lamp",
    "kettle",
    "backpack",
    "blanket",
    "chair",
    "speaker",
    "bottle",
    "watch",
    "shoes",
]
_PROMISES = (
    "free returns", "ships in 24 h", "best seller", "five year warranty", "rated 4.8 of 5",
    "made to order", "only a few left", "new this week", "tested by experts", "climate neutral",
    "lowest price of 30 days", "loved by families", "easy to clean", "gift wrapped", "limited run",
)  # fmt: skip
_TAGS = (
    "sale", "new", "eco", "premium", "pre-order", "bundle", "online only", "top rated", "last chance",
    "family", "sport", "office", "gift idea",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Truth:
    """P products, S slots, at most K candidates. Absent candidates are False in `present`.

    element (P, S, K) effects; factor (P, S, K, R): a pair adds <f, f'>; crossed (P, S, K, C) and
    context (C,) over the one-hot context; ids and texts [P][S][k]; embedding (P, S, K, D), nan
    where a slot has none; hour_effect (24,).
    """

    products: tuple[str, ...]
    product: np.ndarray
    present: np.ndarray
    element: np.ndarray
    factor: np.ndarray
    crossed: np.ndarray
    context: np.ndarray
    hour_effect: np.ndarray
    ids: tuple[tuple[tuple[str, ...], ...], ...]
    texts: tuple[tuple[tuple[str, ...], ...], ...]
    embedding: np.ndarray
    price: np.ndarray

    def log_odds(
        self, product: np.ndarray, onehot: np.ndarray, hour: np.ndarray, choice: np.ndarray
    ) -> np.ndarray:
        """(n,) log-odds of a click; choice (n, S) candidate indices, -1 for an absent slot."""
        shown = choice >= 0
        at = np.maximum(choice, 0)
        p, s = product[:, None], np.arange(choice.shape[1])[None]
        own = np.where(shown, self.element[p, s, at], 0.0).sum(1)
        factor = np.where(shown[..., None], self.factor[p, s, at], 0.0)
        pairs = 0.5 * (np.square(factor.sum(1)) - np.square(factor).sum(1)).sum(1)
        crossed = np.where(shown[..., None], self.crossed[p, s, at], 0.0).sum(1)
        return (
            BASE
            + self.product[product]
            + onehot @ self.context
            + self.hour_effect[hour]
            + own
            + pairs
            + (crossed * onehot).sum(1)
        )


def one_hot(context: dict[str, np.ndarray]) -> np.ndarray:
    """(n, C) of the categorical context, in the order of CONTEXT."""
    columns = [context[name] == value for name, values in CONTEXT.items() for value in values]
    return np.stack(columns, axis=1).astype(np.float64)


def make_truth(seed: int, products: int) -> Truth:
    """A shop drawn from the seed."""
    rng = np.random.default_rng([seed, 1])
    sizes = rng.integers(FEWEST, MOST + 1, size=(products, len(SLOTS)))
    present = np.arange(MOST)[None, None] < sizes[..., None]
    words = {word: SPREAD["word"] * rng.normal() for word in (*_TITLE_WORDS, *_PROMISES, *_TAGS)}
    direction = rng.normal(size=EMBEDDING) / EMBEDDING**0.5
    ids, texts, embedding, content = _content(rng, products, sizes, words, direction)
    shape = (products, len(SLOTS), MOST)
    own = SPREAD["own"] * rng.normal(size=shape)
    contexts = sum(len(values) for values in CONTEXT.values())
    scale = (SPREAD["pair"] ** 2 / FACTORS) ** 0.25
    return Truth(
        products=tuple(f"p{number:03d}" for number in range(products)),
        product=SPREAD["product"] * rng.normal(size=products),
        present=present,
        element=np.where(present, content + own, 0.0),
        factor=scale * rng.normal(size=(*shape, FACTORS)),
        crossed=SPREAD["crossed"] * rng.normal(size=(*shape, contexts)),
        context=SPREAD["context"] * rng.normal(size=contexts),
        hour_effect=0.2 * np.sin((np.arange(24) - 14) / 24 * 2 * np.pi),
        ids=ids,
        texts=texts,
        embedding=embedding,
        price=np.exp(rng.normal(3.5, 0.6, size=products)),
    )


def _content(
    rng: np.random.Generator,
    products: int,
    sizes: np.ndarray,
    words: dict[str, float],
    direction: np.ndarray,
) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """Ids and texts [P][S][k], embeddings (P, S, K, D), and the effect of content (P, S, K)."""
    embedding = np.full((products, len(SLOTS), MOST, EMBEDDING), np.nan)
    effect = np.zeros((products, len(SLOTS), MOST))
    ids, texts = [], []
    for p in range(products):
        noun = _NOUNS[p % len(_NOUNS)]
        own_ids, own_texts = [], []
        for s, slot in enumerate(SLOTS):
            size = int(sizes[p, s])
            names, said = _candidates(rng, slot, f"p{p:03d}", noun, size)
            if slot == "image":
                embedding[p, s, :size] = rng.normal(size=(size, EMBEDDING))
                effect[p, s, :size] = 0.11 * embedding[p, s, :size] @ direction
            else:
                effect[p, s, :size] = [
                    sum(words.get(w, 0.0) for w in _units(t, slot)) for t in said
                ]
            own_ids.append(names)
            own_texts.append(said)
        ids.append(tuple(own_ids))
        texts.append(tuple(own_texts))
    return tuple(ids), tuple(texts), embedding, effect


def _candidates(
    rng: np.random.Generator, slot: str, product: str, noun: str, size: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if slot == "image":
        return tuple(f"{product}-image-{k}" for k in range(size)), ("",) * size
    if slot == "title":
        pairs = [rng.choice(_TITLE_WORDS, size=2, replace=False) for _ in range(size)]
        texts = tuple(f"{a} {b} {noun}" for a, b in pairs)
        return tuple(f"{product}-title-{k}" for k in range(size)), texts
    pool = _PROMISES if slot == "highlight" else _TAGS
    chosen = tuple(str(text) for text in rng.choice(pool, size=size, replace=False))
    return tuple(f"{slot}-{text.replace(' ', '-')}" for text in chosen), chosen


def _units(text: str, slot: str) -> list[str]:
    return text.split() if slot == "title" else [text]
