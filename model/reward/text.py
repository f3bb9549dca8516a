"""Text -> hashed n-grams with tf-idf weights, each text of length 1 (words and characters half).

A text's weights are a function of the text alone, the same in any company and on any machine.
Distinct words are hashed once; what is done for every text is array work.
"""

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.reward.hashing import CharacterGrams, Hashed, WordGrams, Words

_WORD = re.compile(r"\w+|[^\w\s]")
FEWEST = 2  # training texts that hold an n-gram
TEXTS = 2048  # counted at once: what is sorted stays in the cache


@dataclass(frozen=True, eq=False)
class Grams:
    """Rows of a sparse matrix: bucket (k,) int64 and weight (k,) float32 from offset (m + 1,)."""

    bucket: Tensor
    weight: Tensor
    offset: Tensor

    def take(self, rows: Tensor) -> "Grams":
        """These rows, in their order."""
        counts = (self.offset[1:] - self.offset[:-1])[rows]
        offset = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        inside = torch.arange(int(offset[-1]), device=rows.device)
        inside = inside - torch.repeat_interleave(offset[:-1], counts)
        place = torch.repeat_interleave(self.offset[:-1][rows], counts) + inside
        return Grams(self.bucket[place], self.weight[place], offset)

    def to(self, device: str) -> "Grams":
        return Grams(self.bucket.to(device), self.weight.to(device), self.offset.to(device))


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each n-gram stands in each of `texts` texts: (k,) each, by text, part and bucket.

    part 0 are word 1-2 grams, part 1 character 2-4 grams.
    """

    texts: int
    text: np.ndarray
    part: np.ndarray
    bucket: np.ndarray
    count: np.ndarray


def counted(texts: Sequence[str], salts: Sequence[str], buckets: int) -> Iterator[Counts]:
    """Counts of the texts, some thousands at a time.

    The salt (the slot) keeps the same words of different slots apart.
    """
    lowered = [text.lower() for text in texts]
    words = WordGrams(Words.of([_WORD.findall(text) for text in lowered]))
    characters = CharacterGrams(Words.of([text.split() for text in lowered]))
    for start in range(0, len(texts), TEXTS):
        stop = min(start + TEXTS, len(texts))
        grams = words.between(start, stop), characters.between(start, stop)
        yield _counts(grams, salts[start:stop], buckets)


def _counts(grams: tuple[Hashed, Hashed], salts: Sequence[str], buckets: int) -> Counts:
    keys = []
    for part, (found, kind) in enumerate(zip(grams, "wc", strict=True)):
        starts = {salt: zlib.crc32(f"{kind}{salt}".encode()) for salt in set(salts)}
        codes = found.salted(np.array([starts[salt] for salt in salts], np.int64))
        keys.append((2 * found.text + part) * buckets + codes % buckets)
    key = np.sort(np.concatenate(keys))
    first = np.flatnonzero(np.diff(key, prepend=-1))
    place, bucket = np.divmod(key[first], buckets)
    count = np.diff(first, append=len(key))
    return Counts(len(salts), place // 2, place % 2, bucket, count)


def document_weights(texts: Sequence[str], salts: Sequence[str], buckets: int) -> np.ndarray:
    """(buckets,) smoothed inverse document frequency; 0 for what fewer than two texts hold.

    An n-gram of a single text says nothing that the element's own id does not.
    """
    seen = np.zeros(buckets)
    for counts in counted(texts, salts, buckets):
        held = np.sort(counts.text * buckets + counts.bucket)
        once = held[np.flatnonzero(np.diff(held, prepend=-1))] % buckets
        seen += np.bincount(once, minlength=buckets)
    weights = np.log((1 + len(texts)) / (1 + seen)) + 1
    return np.where(seen >= FEWEST, weights, 0.0).astype(np.float32)


def weighted(texts: Sequence[str], salts: Sequence[str], idf: np.ndarray) -> Grams:
    """The texts as Grams; a text without known n-grams is an empty row."""
    bucket, weight, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [np.zeros(1, int)]
    for counts in counted(texts, salts, len(idf)):
        known = np.flatnonzero(idf[counts.bucket] > 0)
        text, count = counts.text[known], counts.count[known]
        value = _damped(count) * idf[counts.bucket[known]].astype(np.float64)
        place = 2 * text + counts.part[known]
        norm = np.sqrt(2 * np.bincount(place, value * value, 2 * counts.texts))
        bucket.append(counts.bucket[known])
        weight.append((value / norm[place]).astype(np.float32))
        sizes.append(np.bincount(text, minlength=counts.texts))
    return Grams(
        torch.from_numpy(np.concatenate(bucket)),
        torch.from_numpy(np.concatenate(weight)),
        torch.from_numpy(np.concatenate(sizes).cumsum()),
    )


def _damped(count: np.ndarray) -> np.ndarray:
    """1 + log(count), from a table: vector units round logarithms differently."""
    most = int(count.max(initial=1))
    return np.array([0.0, *(1 + math.log(c) for c in range(1, most + 1))])[count]
