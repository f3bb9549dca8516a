"""What names an element to the reward model: its content as words, and the keys of its ids."""

import json
import zlib
from collections.abc import Sequence

import numpy as np

from model.elements import Elements, pack

FEW = 64


def codes(names: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n,) int64 position + 1 of each value in the sorted vocabulary, 0 where it is not in it."""
    if not len(names) or not len(values):
        return np.zeros(len(values), np.int64)
    place = np.minimum(np.searchsorted(names, values), len(names) - 1)
    return np.where(names[place] == values, place + 1, 0).astype(np.int64)


class Vocabulary:
    """Sorted names and the codes of values in it."""

    def __init__(self, names: Sequence[str]):
        self.names = np.array(names)
        self._place = {name: at for at, name in enumerate(names, start=1)}

    def __len__(self) -> int:
        return len(self.names)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """(n,) int64 what `codes` gives of the values as text; a few are looked up one by one."""
        if len(values) > FEW:
            return codes(self.names, values.astype(str))
        return np.array([self._place.get(str(value), 0) for value in values.tolist()], np.int64)


def contents_of(elements: Elements) -> list[str]:
    """Each element's text with its attributes as words name=value."""
    texts, given = elements.text.tolist(), elements.attributes.tolist()
    worded = {told: _worded(told) for told in set(given)}
    return [
        f"{text} {worded[told]}" if told else text for text, told in zip(texts, given, strict=True)
    ]


def _worded(attributes: str) -> str:
    """Canonical JSON as words name=value."""
    named = json.loads(attributes) if attributes else {}
    return " ".join(f"{name}={value}".replace(" ", "_") for name, value in named.items())


def salts(elements: Elements) -> list[str]:
    """What keeps one slot's n-grams apart from another's."""
    return list(map(str, elements.slot.tolist()))


def own_keys(elements: Elements) -> np.ndarray:
    """(m,) keys of (product, slot, element)."""
    return pack(elements.product_id, elements.slot, elements.element_id)


def shared_keys(elements: Elements, contents: list[str]) -> np.ndarray:
    """(m,) keys of (slot, element, content), the same at every product that shows it."""
    digests = [
        format(zlib.crc32(_bytes(elements, i), zlib.crc32(content.encode())), "08x")
        for i, content in enumerate(contents)
    ]
    return pack(elements.slot, elements.element_id, np.array(digests, object))


def _bytes(elements: Elements, row: int) -> bytes:
    given = elements.embedding[elements.slot[row]]
    return b"" if given is None else given[row].tobytes()
