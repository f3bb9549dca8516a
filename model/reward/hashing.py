"""CRC-32 of n-grams by arrays: distinct words are hashed once, what joins them is arithmetic.

CRC-32 is linear over bits: the code of two joined texts is the first's, moved by the second's
length in bytes, xor the second's (Mark Adler's crc32_combine in zlib).
"""

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

CHARACTERS = (2, 3, 4)


class Vocabulary(dict[str, int]):
    """Words by number, in the order in which they were first asked for."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


@dataclass(frozen=True, eq=False)
class Hashed:
    """n-grams: which text holds them, their CRC-32 and their bytes, (k,) int64 each."""

    text: np.ndarray
    code: np.ndarray
    size: np.ndarray

    def salted(self, starts: np.ndarray) -> np.ndarray:
        """(k,) codes of a salt followed by the n-gram; starts (texts,) are the codes of salts."""
        salts, salt = np.unique(starts, return_inverse=True)
        sizes = np.flatnonzero(np.bincount(self.size))
        ahead = np.zeros((len(salts), int(self.size.max(initial=0)) + 1), np.int64)
        ahead[:, sizes] = [[_moved_one(int(s), int(size)) for size in sizes] for s in salts]
        return ahead[salt[self.text], self.size] ^ self.code


@dataclass(frozen=True, eq=False)
class Words:
    """Texts as numbers of distinct words: number (k,) from offset (texts + 1,)."""

    names: list[str]
    number: np.ndarray
    offset: np.ndarray

    @staticmethod
    def of(texts: Sequence[Sequence[str]]) -> "Words":
        known = Vocabulary()
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        numbers = map(known.__getitem__, itertools.chain.from_iterable(texts))
        number = np.fromiter(numbers, np.int64, int(sizes.sum()))
        return Words(list(known), number, np.concatenate([[0], sizes.cumsum()]))

    def between(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """(text less start, number of the word), (k,) each, of texts start ... stop - 1."""
        sizes = np.diff(self.offset[start : stop + 1])
        text = np.repeat(np.arange(stop - start), sizes)
        return text, self.number[self.offset[start] : self.offset[stop]]


class WordGrams:
    """Words of each text, and pairs of neighbours with a space between."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._codes, self._sizes = _codes(words.names)
        self._spaced = _codes([f" {name}" for name in words.names])[0]

    def between(self, start: int, stop: int) -> Hashed:
        """Those of texts start ... stop - 1, numbered from 0."""
        text, word = self._words.between(start, stop)
        first = np.flatnonzero(text[1:] == text[:-1])
        a, b = word[first], word[first + 1]
        joined = moved(self._codes[a], self._sizes[b] + 1) ^ self._spaced[b]
        return Hashed(
            np.concatenate([text, text[first]]),
            np.concatenate([self._codes[word], joined]),
            np.concatenate([self._sizes[word], self._sizes[a] + 1 + self._sizes[b]]),
        )


class CharacterGrams:
    """2-4 characters in a row within each word, a space on both sides."""

    def __init__(self, words: Words) -> None:
        spelled = [_spelled(f" {name} ") for name in words.names]
        self._words = words
        self._codes, self._sizes = _codes(list(itertools.chain.from_iterable(spelled)))
        self._counts = np.fromiter(map(len, spelled), np.int64, len(spelled))
        self._starts = np.cumsum(self._counts) - self._counts

    def between(self, start: int, stop: int) -> Hashed:
        """Those of texts start ... stop - 1, numbered from 0."""
        text, word = self._words.between(start, stop)
        counts = self._counts[word]
        place = ranges(self._starts[word], counts)
        return Hashed(np.repeat(text, counts), self._codes[place], self._sizes[place])


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """starts[i], ..., starts[i] + counts[i] - 1 for each i, joined."""
    before = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) + np.repeat(starts - before, counts)


def moved(codes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(k,) codes as they go into the code of a text that goes on for `sizes` (k,) bytes."""
    result = np.zeros_like(codes)
    for length in np.flatnonzero(np.bincount(sizes)):
        rows = np.flatnonzero(sizes == length)
        table = _table(int(length))
        for byte in range(4):
            result[rows] ^= table[byte][codes[rows] >> 8 * byte & 255]
    return result


@lru_cache(maxsize=256)
def _table(size: int) -> np.ndarray:
    """(4, 256) what each value of each byte of a code becomes."""
    return np.array([[_moved_one(v << 8 * b, size) for v in range(256)] for b in range(4)])


def _moved_one(code: int, size: int) -> int:
    return zlib.crc32(bytes(size), code) ^ zlib.crc32(bytes(size))


def _codes(grams: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(CRC-32, bytes) of each, (k,) int64."""
    written = [gram.encode() for gram in grams]
    codes = np.fromiter(map(zlib.crc32, written), np.int64, len(written))
    return codes, np.fromiter(map(len, written), np.int64, len(written))


def _spelled(padded: str) -> list[str]:
    return [padded[i : i + n] for n in CHARACTERS for i in range(len(padded) - n + 1)]
