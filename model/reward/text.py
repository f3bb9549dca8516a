"""Text -> hashed n-grams with tf-idf weights, each text of length 1 (words and characters half)."""

import itertools
import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_WORD = re.compile(r"\w+|[^\w\s]")
CHARACTERS = (2, 3, 4)
FEWEST = 2  # training texts that hold an n-gram


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


def hashed_counts(text: str, salt: str, buckets: int) -> tuple[Counter[int], Counter[int]]:
    """Counts of the text's word 1-2 grams and character 2-4 grams by bucket.

    The salt (the slot) keeps the same words of different slots apart.
    """
    lowered = text.lower()
    words = _WORD.findall(lowered)
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
    padded = [f" {word} " for word in lowered.split()]
    characters = [w[i : i + n] for w in padded for n in CHARACTERS for i in range(len(w) - n + 1)]
    return _buckets([*words, *pairs], f"w{salt}", buckets), _buckets(
        characters, f"c{salt}", buckets
    )


def _buckets(grams: list[str], salt: str, buckets: int) -> Counter[int]:
    start = zlib.crc32(salt.encode())
    return Counter(zlib.crc32(gram.encode(), start) % buckets for gram in grams)


def document_weights(
    counts: Sequence[tuple[Counter[int], Counter[int]]], buckets: int
) -> np.ndarray:
    """(buckets,) smoothed inverse document frequency; 0 for what fewer than two texts hold.

    An n-gram of a single text says nothing that the element's own id does not.
    """
    seen = np.zeros(buckets)
    for words, characters in counts:
        for bucket in {*words, *characters}:
            seen[bucket] += 1
    weights = np.log((1 + len(counts)) / (1 + seen)) + 1
    return np.where(seen >= FEWEST, weights, 0.0).astype(np.float32)


def weighted(counts: Sequence[tuple[Counter[int], Counter[int]]], idf: np.ndarray) -> Grams:
    """The texts as Grams; a text without known n-grams is an empty row."""
    bucket: list[int] = []
    weight: list[float] = []
    offset = [0]
    for both in counts:
        for part in both:
            values = {
                b: (1 + math.log(c)) * float(idf[b]) for b, c in sorted(part.items()) if idf[b] > 0
            }
            norm = math.sqrt(2 * sum(v * v for v in values.values()))
            if norm > 0:
                bucket += values
                weight += [v / norm for v in values.values()]
        offset.append(len(bucket))
    return Grams(
        torch.tensor(bucket, dtype=torch.int64),
        torch.tensor(weight, dtype=torch.float32),
        torch.tensor(offset, dtype=torch.int64),
    )
