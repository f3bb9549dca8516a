"""Texts become embeddings once, and only where a slot has none of its own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from lettering import Lettering

from components.adapters.storage import open_storage
from components.materialize_features.embedding import embed_table

TABLE = pa.table(
    {
        "product_id": ["p"] * 5,
        "slot": ["title", "title", "title", "image", "image"],
        "element_id": ["a", "b", "c", "i", "j"],
        "text": ["free socks", "warm socks", None, "a picture", ""],
        "embedding": pa.array([None, None, None, [1.0, 2.0], None], pa.list_(pa.float32())),
    }
)


def test_only_texts_of_slots_without_an_embedding_are_embedded() -> None:
    table, slots = embed_table(TABLE, Lettering())
    rows = table["embedding"].to_pylist()
    assert slots == ["title"]
    assert rows[0] is not None
    assert rows[0] != rows[1]
    assert rows[2:] == [None, [1.0, 2.0], None]


def test_a_text_is_embedded_once_for_all_days(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    first = Lettering()
    once, _ = embed_table(TABLE, first, storage)
    second = Lettering()
    again, _ = embed_table(TABLE, second, storage)
    assert first.asked == ["free socks", "warm socks"]
    assert second.asked == []
    assert again.equals(once)


def test_another_encoder_does_not_take_the_first_ones_embeddings(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    embed_table(TABLE, Lettering(), storage)
    other = Lettering()
    other.fingerprint = "lettering-2"
    embed_table(TABLE, other, storage)
    assert other.asked == ["free socks", "warm socks"]


def test_a_catalog_without_texts_is_left_alone() -> None:
    bare = TABLE.drop_columns(["text"])
    table, slots = embed_table(bare, Lettering())
    assert table is bare
    assert slots == []


def test_the_packaged_encoder_puts_alike_meanings_close() -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `text` is not installed")
    from components.adapters.text_encoder import TextEncoder

    found = TextEncoder("minilm").encode(
        ["Warm woollen socks for winter", "Cosy knitted stockings", "Quarterly tax report"]
    )
    assert found.shape == (3, 384)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.2
