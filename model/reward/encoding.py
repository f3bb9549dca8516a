"""How products, contexts and elements become numbers; fixed when training starts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.elements import Elements
from model.reward.history import even, untold
from model.reward.keys import Vocabulary, codes, contents_of, own_keys, salts, shared_keys
from model.reward.smooth import Landmarks
from model.reward.text import Grams, weighted

LANDMARKS = "landmarks."
BEFORE = "before"


@dataclass(frozen=True, eq=False)
class ElementInputs:
    """What the network reads of m elements; id 0 = never trained on."""

    grams: Grams
    dense: Tensor  # (m, F) scaled embeddings, one block of columns a slot
    smooth: Tensor  # (m, K) kernel features of the embeddings, one block of columns a slot
    shared: Tensor  # (m,) int64 id of (slot, element, content) seen at several products
    own: Tensor  # (m,) int64 id of (product, slot, element)
    slot: Tensor  # (m,) int64

    def take(self, rows: Tensor) -> "ElementInputs":
        return ElementInputs(
            self.grams.take(rows),
            self.dense[rows],
            self.smooth[rows],
            self.shared[rows],
            self.own[rows],
            self.slot[rows],
        )

    def to(self, device: str) -> "ElementInputs":
        moved = (t.to(device) for t in (self.dense, self.smooth, self.shared, self.own, self.slot))
        return ElementInputs(self.grams.to(device), *moved)


@dataclass(frozen=True, eq=False)
class Encoding:
    """Vocabularies and scales; `idf`, `landmarks` and `before` are kept with the weights, the rest is JSON."""

    slots: tuple[str, ...]
    context: dict[str, str]
    categories: dict[str, list[str]]
    numbers: dict[str, dict[str, Any]]
    products: list[str]
    shared: list[str]
    own: list[str]
    embedding: list[dict[str, list[float]] | None]
    history: dict[str, Any]
    buckets: int
    idf: np.ndarray
    landmarks: list[Landmarks | None]
    before: np.ndarray  # (own + 1, H) history of each own code before it was learned from, or none

    def to_json(self) -> dict[str, Any]:
        """What is not an array."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in kept.items() if k not in ("idf", "landmarks", BEFORE)}

    def tensors(self) -> dict[str, Tensor]:
        """The arrays, by name."""
        named = {"idf": self.idf, BEFORE: self.before}
        for slot, marks in zip(self.slots, self.landmarks, strict=True):
            for name, array in (marks.tensors() if marks else {}).items():
                named[f"{LANDMARKS}{slot}.{name}"] = array
        return {name: torch.from_numpy(array.copy()) for name, array in named.items()}

    @staticmethod
    def from_json(tree: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Encoding":
        """The encoding of `to_json` and `tensors`; a state without landmarks has none."""
        slots = tuple(tree["slots"])
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        marks = [_landmarks_of(arrays, f"{LANDMARKS}{slot}.") for slot in slots]
        width = len(tree["history"]["mean"])
        before = arrays.get(BEFORE, np.zeros((0, width), np.float32))
        tree = {**tree, "slots": slots}
        return Encoding(**tree, idf=arrays["idf"], landmarks=marks, before=before)

    @staticmethod
    def owns(name: str) -> bool:
        """Whether a tensor of a model's state is the encoding's."""
        return name in ("idf", BEFORE) or name.startswith(LANDMARKS)

    @property
    def context_width(self) -> int:
        categories = sum(len(values) + 1 for values in self.categories.values())
        return categories + sum(len(n["edges"]) + 2 for n in self.numbers.values())

    @property
    def dense_width(self) -> int:
        return sum(len(e["mean"]) for e in self.embedding if e is not None)

    @property
    def smooth_width(self) -> int:
        return sum(marks.width for marks in self.landmarks if marks is not None)

    @property
    def history_width(self) -> int:
        return len(self.history["mean"])

    @cached_property
    def _names(self) -> dict[str, Vocabulary]:
        """Vocabularies: of each categorical, and the products at ""."""
        return {name: Vocabulary(v) for name, v in {"": self.products, **self.categories}.items()}

    def product_codes(self, product_id: np.ndarray) -> np.ndarray:
        """(n,) int64, 0 for a product never trained on."""
        return self._names[""].codes(np.asarray(product_id))

    def context_rows(self, context: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """(n, C) float32: one-hot with "other" first, numbers standardised and in bins."""
        parts = [np.zeros((rows, 0), np.float32)]
        for name, kind in self.context.items():
            values = context[name]
            parts.append(
                self._number(name, values) if kind == "number" else self._category(name, values)
            )
        return np.concatenate(parts, axis=1)

    def _category(self, name: str, values: np.ndarray) -> np.ndarray:
        known = self._names[name]
        one_hot = np.zeros((len(values), len(known) + 1), np.float32)
        one_hot[np.arange(len(values)), known.codes(values)] = 1
        return one_hot

    def _number(self, name: str, values: np.ndarray) -> np.ndarray:
        scale = self.numbers[name]
        known = np.isfinite(values)
        filled = np.where(known, values, scale["mean"]).astype(np.float64)
        place = np.searchsorted(np.array(scale["edges"]), filled, side="right")
        binned = np.eye(len(scale["edges"]) + 1, dtype=np.float32)[place]
        binned[~known] = 0
        standard = np.clip((filled - scale["mean"]) / scale["std"], -5, 5)
        return np.concatenate([standard[:, None].astype(np.float32), binned], axis=1)

    def history_rows(self, history: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(..., H + 1) what the ids have not learned of the history, of elements with own codes
        (...), made even, and a flag where nothing is known (history.py)."""
        return self.even(self.untold(history, own))

    def untold(self, history: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(..., H) the history without what the ids have learned."""
        if "lifts" not in self.history:  # encodings from before took all of it
            return history
        return untold(history, own, self.before)

    def even(self, history: np.ndarray) -> np.ndarray:
        """(..., H + 1) such history as the network reads it."""
        return even(history, self.history)

    def own_codes(self, elements: Elements) -> np.ndarray:
        """(m,) int64 code of each element's own id, 0 where it was never learned from."""
        return codes(np.array(self.own), own_keys(elements))

    def element_inputs(self, elements: Elements) -> ElementInputs:
        """What the network reads of these elements, known or new."""
        contents = contents_of(elements)
        return ElementInputs(
            grams=weighted(contents, salts(elements), self.idf),
            dense=torch.from_numpy(self._dense(elements)),
            smooth=torch.from_numpy(self._smooth(elements)),
            shared=torch.from_numpy(codes(np.array(self.shared), shared_keys(elements, contents))),
            own=torch.from_numpy(codes(np.array(self.own), own_keys(elements))),
            slot=torch.from_numpy(elements.slot.astype(np.int64)),
        )

    def _dense(self, elements: Elements) -> np.ndarray:
        blocks = [np.zeros((len(elements), 0), np.float32)]
        for slot, scale in enumerate(self.embedding):
            if scale is None:
                continue
            given = elements.embedding[slot]
            width = len(scale["mean"])
            block = np.zeros((len(elements), width), np.float32)
            if given is not None:
                if given.shape[1] != width:
                    raise ValueError(
                        f"embeddings of slot {self.slots[slot]} have length {given.shape[1]}, "
                        f"expected {width} as when the model was trained; use the same encoder"
                    )
                rows = (elements.slot == slot) & given.any(axis=1)
                block[rows] = (given[rows] - np.array(scale["mean"])) / np.array(scale["std"])
            blocks.append(block / max(width, 1) ** 0.5)
        return np.concatenate(blocks, axis=1)

    def _smooth(self, elements: Elements) -> np.ndarray:
        """(m, K) float32, after `_dense` has checked the embeddings' lengths."""
        blocks = [np.zeros((len(elements), 0), np.float32)]
        for slot, marks in enumerate(self.landmarks):
            if marks is None:
                continue
            block = np.zeros((len(elements), marks.width), np.float32)
            given = elements.embedding[slot]
            if given is not None:
                rows = (elements.slot == slot) & given.any(axis=1)
                block[rows] = marks.features(given[rows])
            blocks.append(block)
        return np.concatenate(blocks, axis=1)


def _landmarks_of(arrays: Mapping[str, np.ndarray], prefix: str) -> Landmarks | None:
    found = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return Landmarks.of(found) if found else None
