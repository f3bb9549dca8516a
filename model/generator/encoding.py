"""Numbers that the generator reads of an element and of a context.

The reward model's scores are not among them: a proposal then needs the generator's own weights
only, and what the reward knows reaches it through training. Its history columns are read, as the
reward reads them too.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.elements import Elements

MOST_VALUES = 256
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the network reads of n candidates."""

    dense: Tensor  # (n, F) float: slot one-hot, embeddings, history, "history unknown"
    tokens: Tensor  # (n, T) int64 hashed n-grams, 0 = padding
    identity: Tensor  # (n,) int64, 0 = an element never trained on

    def take(self, rows: Tensor) -> "Inputs":
        return Inputs(self.dense[rows], self.tokens[rows], self.identity[rows])

    def to(self, device: str) -> "Inputs":
        return Inputs(self.dense.to(device), self.tokens.to(device), self.identity.to(device))


@dataclass(frozen=True, eq=False)
class Encoding:
    """How elements, products and contexts become numbers; fixed when training starts."""

    slots: tuple[str, ...]
    context: dict[str, str]
    categories: dict[str, list[str]]  # of each categorical; anything else counts as "other"
    numbers: dict[str, dict[str, list[float]]]  # of each number: {"scale": [mean, std], "edges"}
    products: list[str]
    identities: list[list[str]]  # [slot, element_id]
    widths: list[int]  # embedding length of each slot, 0 = none
    offset: list[float]  # mean and deviation of the dense columns after the slot's one-hot
    scale: list[float]
    history: int
    buckets: int
    text_tokens: int

    @staticmethod
    def fit(
        elements: Elements,
        rows: np.ndarray,
        products: list[str],
        context: Mapping[str, np.ndarray],
        kinds: Mapping[str, str],
        *,
        bins: int,
        buckets: int,
        text_tokens: int,
    ) -> "Encoding":
        """The encoding of these candidate rows, products and logged contexts."""
        raw = _content(elements, rows)
        named = {(elements.slots[elements.slot[r]], str(elements.element_id[r])) for r in rows}
        categorical = {n: _values(context[n]) for n, k in kinds.items() if k == "categorical"}
        numbers = {n: _quantiles(context[n], bins) for n, k in kinds.items() if k == "number"}
        shown = np.where(np.isfinite(raw), raw, np.nan)
        count = np.maximum(np.isfinite(raw).sum(0), 1)
        mean = np.nansum(shown, axis=0) / count
        spread = np.sqrt(np.nansum((shown - mean) ** 2, axis=0) / count)
        return Encoding(
            slots=elements.slots,
            context=dict(kinds),
            categories=categorical,
            numbers=numbers,
            products=products,
            identities=[list(pair) for pair in sorted(named)],
            widths=[0 if e is None else int(e.shape[1]) for e in elements.embedding],
            offset=mean.tolist(),
            scale=np.where(spread > 1e-9, spread, 1.0).tolist(),
            history=elements.history.shape[1],
            buckets=buckets,
            text_tokens=text_tokens,
        )

    @property
    def dense_width(self) -> int:
        return len(self.slots) + len(self.offset) + self.history

    @cached_property
    def context_width(self) -> int:
        wide = 1 + sum(len(values) + 1 for values in self.categories.values())
        return wide + sum(len(number["edges"]) + 3 for number in self.numbers.values())

    def inputs(self, elements: Elements, rows: np.ndarray) -> Inputs:
        """What the network reads of these rows; ValueError where the catalog's shape changed."""
        widths = [0 if e is None else int(e.shape[1]) for e in elements.embedding]
        found = (elements.slots, widths, elements.history.shape[1])
        expected = (self.slots, self.widths, self.history)
        lengths = zip(widths, self.widths, strict=False)
        if any(known and w not in (0, known) for w, known in lengths) or (
            found[0] != expected[0] or found[2] != expected[2]
        ):
            raise ValueError(
                f"elements have (slots, embedding lengths, history columns) {found}, the generator "
                f"was trained on {expected}; train it again or give the elements of its catalog"
            )
        raw = _content(elements, rows, self.widths)
        known = np.isfinite(raw)
        scaled = np.clip((np.where(known, raw, 0.0) - self.offset) / self.scale, -8.0, 8.0)
        own = np.eye(len(self.slots))[elements.slot[rows]]
        held = self._held(elements.slot[rows], known, raw)
        unknown = ~known[:, raw.shape[1] - self.history :]
        dense = np.concatenate([own, np.where(held, scaled, 0.0), unknown], axis=1)
        return Inputs(
            torch.from_numpy(dense.astype(np.float32)),
            torch.from_numpy(self._tokens(elements, rows)),
            torch.from_numpy(self._identity(elements, rows)),
        )

    def _held(self, slot: np.ndarray, known: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """(n, F) bool: the column speaks of this slot and is known (zeros are no embedding)."""
        owner = np.repeat(np.arange(len(self.widths)), self.widths)
        embedded = owner[None, :] == slot[:, None]
        for index in range(len(self.widths)):
            columns = owner == index
            embedded[:, columns] &= raw[:, : len(owner)][:, columns].any(1, keepdims=True)
        history = np.ones((len(slot), self.history), bool)
        return known & np.concatenate([embedded, history], axis=1)

    def _identity(self, elements: Elements, rows: np.ndarray) -> np.ndarray:
        known = {tuple(pair): at for at, pair in enumerate(self.identities, start=1)}
        named = ((elements.slots[elements.slot[r]], str(elements.element_id[r])) for r in rows)
        return np.array([known.get(pair, 0) for pair in named], np.int64)

    def _tokens(self, elements: Elements, rows: np.ndarray) -> np.ndarray:
        hashed = [
            _hashes(str(elements.text[r]), str(elements.attributes[r]), self.buckets) for r in rows
        ]
        width = min(max((len(tokens) for tokens in hashed), default=0), self.text_tokens)
        padded = np.zeros((len(rows), width), np.int64)
        for row, tokens in enumerate(hashed):
            padded[row, : len(tokens)] = tokens[:width]
        return padded

    def product_index(self, product_id: list[str]) -> np.ndarray:
        """(P,) int64, 0 = a product never trained on."""
        return np.array([self._product.get(name, 0) for name in product_id], np.int64)

    @cached_property
    def _product(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.products, start=1)}

    def context_rows(self, context: Mapping[str, np.ndarray], rows: int) -> Tensor:
        """(rows, context_width) float32; a value never seen is "other", a missing number flagged.

        The first column is 1, so that a source without context has one too.
        """
        found, every, at = np.zeros((rows, self.context_width), np.float32), np.arange(rows), 1
        found[:, 0] = 1.0
        for name, known in self._categories.items():
            index = np.array([known.get(value, 0) for value in context[name].tolist()], np.int64)
            found[every, at + index] = 1.0
            at += len(known) + 1
        for name, (mean, spread, edges) in self._scales.items():
            known = np.isfinite(context[name])
            number = np.where(known, context[name], mean)
            found[:, at] = np.clip((number - mean) / spread, -5.0, 5.0)
            found[:, at + 1] = ~known
            found[every, at + 2 + np.searchsorted(edges, number)] = known
            at += len(edges) + 3
        return torch.from_numpy(found)

    @cached_property
    def _categories(self) -> dict[str, dict[str, int]]:
        return {
            name: {value: at for at, value in enumerate(values, start=1)}
            for name, values in self.categories.items()
        }

    @cached_property
    def _scales(self) -> dict[str, tuple[float, float, np.ndarray]]:
        """(mean, deviation, edges) of each number."""
        return {
            name: (number["scale"][0], number["scale"][1], np.array(number["edges"]))
            for name, number in self.numbers.items()
        }

    def state(self) -> dict[str, Any]:
        """JSON that `Encoding(**state)` turns back, but for the tuple of slots."""
        told = {part.name: getattr(self, part.name) for part in fields(self)}
        return {**told, "slots": list(self.slots)}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> "Encoding":
        return Encoding(**{**state, "slots": tuple(state["slots"])})


def _content(elements: Elements, rows: np.ndarray, widths: list[int] | None = None) -> np.ndarray:
    """(n, sum of embedding lengths + history) float64, nan where a history is unknown."""
    widths = (
        [0 if e is None else int(e.shape[1]) for e in elements.embedding]
        if (widths is None)
        else widths
    )
    parts = [
        np.zeros((len(rows), width)) if e is None else e[rows].astype(np.float64)
        for e, width in zip(elements.embedding, widths, strict=True)
        if width
    ]
    return np.concatenate([*parts, elements.history[rows].astype(np.float64)], axis=1)


def _values(column: np.ndarray) -> list[str]:
    """The commonest values of a categorical, sorted."""
    found, count = np.unique(column.astype(str), return_counts=True)
    return sorted(found[np.argsort(-count, kind="stable")][:MOST_VALUES].tolist())


def _quantiles(column: np.ndarray, bins: int) -> dict[str, list[float]]:
    known = column[np.isfinite(column)]
    if not len(known):
        return {"scale": [0.0, 1.0], "edges": []}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    return {
        "scale": [float(known.mean()), float(known.std()) or 1.0],
        "edges": [float(edge) for edge in edges],
    }


def _hashes(text: str, attributes: str, buckets: int) -> list[int]:
    """Hashed words, pairs of words and character triples of the text, and "name=value" tokens."""
    words = _WORD.findall(text.lower())
    grams = [part for word in words for part in _word_hashes(word, buckets)]
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    named = json.loads(attributes) if attributes else {}
    tokens = [f"{name}={value}" for name, value in sorted(named.items()) if value is not None]
    return [_bucket(token, buckets) for token in tokens + pairs] + grams


@lru_cache(maxsize=65_536)
def _word_hashes(word: str, buckets: int) -> tuple[int, ...]:
    framed = f"<{word}>"
    triples = [framed[at : at + 3] for at in range(len(framed) - 2)]
    return tuple(_bucket(part, buckets) for part in [framed, *triples])


def _bucket(token: str, buckets: int) -> int:
    return zlib.crc32(token.encode()) % buckets + 1
