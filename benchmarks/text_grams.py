"""Seconds to encode texts, beside a plain loop over every n-gram of every text.

Both count twice, as training does: once for the weights of n-grams, once for the texts' rows.

Run: python -m benchmarks.text_grams
"""

import argparse
import itertools
import math
import re
import time
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from model.reward.text import FEWEST, Grams, document_weights, weighted

BUCKETS = 65536
WORDS = 5000  # distinct ones in the made-up texts
PER_TEXT = 9


def plain_counts(text: str, salt: str, buckets: int) -> tuple[Counter[int], Counter[int]]:
    """Word 1-2 grams and character 2-4 grams by bucket, each n-gram hashed by itself."""
    lowered = text.lower()
    words = re.findall(r"\w+|[^\w\s]", lowered)
    grams = [*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))]
    padded = [f" {word} " for word in lowered.split()]
    letters = [w[i : i + n] for w in padded for n in (2, 3, 4) for i in range(len(w) - n + 1)]
    return _hashed(grams, f"w{salt}", buckets), _hashed(letters, f"c{salt}", buckets)


def _hashed(grams: Sequence[str], salt: str, buckets: int) -> Counter[int]:
    start = zlib.crc32(salt.encode())
    return Counter(zlib.crc32(gram.encode(), start) % buckets for gram in grams)


def plain_weights(counts: Sequence[tuple[Counter[int], Counter[int]]], buckets: int) -> np.ndarray:
    """(buckets,) inverse document frequency."""
    seen = np.zeros(buckets)
    for words, letters in counts:
        for bucket in {*words, *letters}:
            seen[bucket] += 1
    weights = np.log((1 + len(counts)) / (1 + seen)) + 1
    return np.where(seen >= FEWEST, weights, 0.0).astype(np.float32)


def plain_rows(
    counts: Sequence[tuple[Counter[int], Counter[int]]], idf: np.ndarray
) -> tuple[list[int], list[float], list[int]]:
    """Bucket, weight and offset as in Grams."""
    bucket: list[int] = []
    weight: list[float] = []
    offset = [0]
    for part in itertools.chain.from_iterable(counts):
        known = sorted(b for b in part if idf[b] > 0)
        values = [(1 + math.log(part[b])) * float(idf[b]) for b in known]
        norm = math.sqrt(2 * sum(v * v for v in values))
        bucket += known
        weight += [v / norm for v in values]
        offset.append(len(bucket))
    return bucket, weight, offset[::2]


def _made_up(texts: int) -> list[str]:
    rng = np.random.default_rng(0)
    words = np.array([f"w{number:x}ord" for number in range(WORDS)])
    return [" ".join(row) for row in words[rng.integers(WORDS, size=(texts, PER_TEXT))]]


def main() -> None:
    """Prints seconds of both ways, their ratio, and whether they agree."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--texts", type=int, default=50_000)
    texts = _made_up(parser.parse_args().texts)
    salts = ["0"] * len(texts)
    start = time.perf_counter()
    idf = plain_weights([plain_counts(text, "0", BUCKETS) for text in texts], BUCKETS)
    rows = plain_rows([plain_counts(text, "0", BUCKETS) for text in texts], idf)
    middle = time.perf_counter()
    grams = weighted(texts, salts, document_weights(texts, salts, BUCKETS))
    end = time.perf_counter()
    slow, fast = middle - start, end - middle
    print(f"{len(texts):,} texts of {PER_TEXT} words, {len(grams.bucket):,} n-grams kept")
    print(f"plain loop {slow:.2f} s, arrays {fast:.2f} s, ratio {slow / fast:.1f}")
    print(f"the same numbers: {same(grams, rows)}")


def same(grams: Grams, rows: tuple[list[int], list[float], list[int]]) -> bool:
    """Whether both hold the same buckets and the same weights to the last bit."""
    bucket, weight, offset = rows
    return (
        np.array_equal(grams.bucket.numpy(), np.array(bucket, np.int64))
        and np.array_equal(grams.weight.numpy(), np.array(weight, np.float32))
        and np.array_equal(grams.offset.numpy(), np.array(offset, np.int64))
    )


if __name__ == "__main__":
    main()
