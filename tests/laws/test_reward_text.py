"""Hashed n-grams by arrays are those of a plain loop, to the last bit and in any company."""

import zlib

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.text_grams import plain_counts, plain_rows, plain_weights, same
from model.reward import text as encoding
from model.reward.hashing import moved
from model.reward.text import document_weights, weighted

BUCKETS = 257
texts = st.lists(st.text(alphabet="abAé漢 .-ß\n'", max_size=30) | st.text(max_size=12), max_size=12)


@given(texts, st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_arrays_say_what_a_plain_loop_says(told: list[str], slot: int) -> None:
    salts = [str((slot + place) % 2) for place in range(len(told))]
    pairs = zip(told, salts, strict=True)
    counts = [plain_counts(text, salt, BUCKETS) for text, salt in pairs]
    idf = plain_weights(counts, BUCKETS)
    assert np.array_equal(document_weights(told, salts, BUCKETS), idf)
    assert same(weighted(told, salts, idf), plain_rows(counts, idf))


@given(texts)
@settings(max_examples=50, deadline=None)
def test_a_texts_weights_do_not_depend_on_its_company(told: list[str]) -> None:
    idf = np.linspace(0, 3, BUCKETS).astype(np.float32)
    salts = ["1"] * len(told)
    together = weighted(told, salts, idf)
    for place, text in enumerate(told):
        alone = weighted([text], ["1"], idf)
        mine = together.take(torch.tensor([place]))
        assert torch.equal(alone.bucket, mine.bucket)
        assert torch.equal(alone.weight, mine.weight)


def test_texts_counted_in_parts_are_counted_alike(monkeypatch) -> None:
    told = [f"word{n % 7} of many" for n in range(40)]
    salts = [str(n % 3) for n in range(40)]
    whole = document_weights(told, salts, BUCKETS)
    rows = weighted(told, salts, whole)
    monkeypatch.setattr(encoding, "TEXTS", 7)
    assert np.array_equal(document_weights(told, salts, BUCKETS), whole)
    parts = weighted(told, salts, whole)
    assert torch.equal(parts.weight, rows.weight)
    assert torch.equal(parts.offset, rows.offset)


@given(st.binary(max_size=20), st.binary(max_size=20))
@settings(max_examples=100, deadline=None)
def test_the_code_of_joined_texts_is_made_of_theirs(first: bytes, second: bytes) -> None:
    codes = np.array([zlib.crc32(first)], np.int64)
    joined = moved(codes, np.array([len(second)])) ^ zlib.crc32(second)
    assert int(joined[0]) == zlib.crc32(first + second)


def test_the_same_words_of_two_slots_are_kept_apart() -> None:
    idf = np.ones(65536, np.float32)
    grams = weighted(["free bold", "free bold"], ["0", "1"], idf)
    first, second = (set(grams.take(torch.tensor([r])).bucket.tolist()) for r in (0, 1))
    assert not first & second
