"""Later tests of the Upworthy archive: learned from the past, judged on the next fifth of tests."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.reward.ridge import varied
from benchmarks.reward.task import TUNED, Task
from examples.upworthy.adapter import NO_IMAGE, element_id
from examples.upworthy.archive import read_archive
from model.bags import Bags, read_bags
from model.elements import Elements

SLOTS = ("headline", "image")
CONTROLS = ("lede", "excerpt")  # texts that readers of the card did not see
FOLDS = ((0.4, 0.6), (0.6, 0.8), (0.8, 1.01))
CACHE = Path("build/reward")


class Encoder(Protocol):
    """Texts to vectors; the fingerprint names its weights."""

    @property
    def fingerprint(self) -> str: ...

    def encode(self, texts: list[str]) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Archive:
    """Combinations of all tests; place (n,) in 0..1 is the test's rank by its start."""

    bags: Bags
    elements: Elements
    place: np.ndarray

    def task(self, past: float, until: float) -> Task:
        """Learn from tests before `past`, judge those until `until` that vary the first slot."""
        earlier = self.bags.take(np.flatnonzero(self.place < past))
        later = np.flatnonzero((self.place >= past) & (self.place < until))
        tuned = np.array([_tuned(product) for product in earlier.product_id])
        return Task(
            earlier.take(np.flatnonzero(~tuned)),
            earlier.take(np.flatnonzero(tuned)),
            varied(self.bags.take(later)),
            self.elements,
            {},
        )


def _tuned(product: str) -> bool:
    return int(hashlib.blake2b(product.encode(), digest_size=4).hexdigest(), 16) % TUNED == 0


def read(source: Path, slots: tuple[str, ...] = SLOTS) -> Archive:
    """The archive with these slots; arms of a test that show the same are one combination."""
    arms = _arms(source, slots)
    keys = ["test_id", "created_at", *slots]
    rows = arms.groupby(keys, as_index=False, sort=True)[["impressions", "clicks"]].sum()
    start = rows.groupby("test_id")["created_at"].min().sort_values(kind="stable")
    rank = {test: number / len(start) for number, test in enumerate(start.index)}
    elements = Elements.from_table(_catalog(rows, slots), slots)
    creative = [
        [(s, element_id(v)) for s, v in zip(slots, values, strict=True)]
        for values in rows[list(slots)].itertuples(index=False)
    ]
    bags = pa.table(
        {
            "product_id": rows["test_id"].astype(str),
            "context": ["{}"] * len(rows),
            "creative": pa.array(creative, pa.map_(pa.string(), pa.string())),
            "impressions": rows["impressions"],
            "clicks": rows["clicks"],
        }
    )
    return Archive(read_bags(bags, elements, {}), elements, rows["test_id"].map(rank).to_numpy())


def _arms(source: Path, slots: tuple[str, ...]) -> pd.DataFrame:
    arms = read_archive(source)[0].rename(columns={"image_id": "image"})
    if set(slots) & set(CONTROLS):
        whole = pd.read_parquet(source) if source.suffix == ".parquet" else pd.read_csv(source)
        arms = arms.join(whole[list(CONTROLS)])  # the archive's reader keeps the rows' numbers
    return arms.assign(**{slot: arms[slot].fillna(NO_IMAGE).astype(str) for slot in slots})


def _catalog(rows: pd.DataFrame, slots: tuple[str, ...]) -> pa.Table:
    parts = []
    for slot in slots:
        each = rows[["test_id", slot]].drop_duplicates().rename(columns={slot: "said"})
        parts.append(each.assign(slot=slot, text="" if slot == "image" else each["said"]))
    both = pd.concat(parts, ignore_index=True)
    return pa.table(
        {
            "product_id": both["test_id"].astype(str).tolist(),
            "slot": both["slot"].tolist(),
            "element_id": [element_id(said) for said in both["said"]],
            "text": both["text"].tolist(),
        }
    )


def embedded(archive: Archive, encoder: Encoder) -> Archive:
    """The same archive whose first slot has sentence embeddings, kept in build/ by text."""
    here = archive.elements.slot == 0
    texts = archive.elements.text[here].astype(str)
    vectors = _vectors(sorted(set(texts.tolist())), encoder)
    given = np.zeros((len(archive.elements), len(next(iter(vectors.values())))), np.float32)
    given[here] = np.stack([vectors[text] for text in texts])
    none = (None,) * (len(archive.elements.slots) - 1)
    return replace(archive, elements=replace(archive.elements, embedding=(given, *none)))


def _vectors(texts: list[str], encoder: Encoder) -> dict[str, np.ndarray]:
    kept = CACHE / f"{encoder.fingerprint}.parquet"
    known: dict[str, np.ndarray] = {}
    if kept.is_file():
        table = pq.read_table(kept)
        vectors = np.stack(table["vector"].to_numpy())
        known = dict(zip(table["text"].to_pylist(), vectors, strict=True))
    missing = [text for text in texts if text not in known]
    if missing:
        known |= dict(zip(missing, encoder.encode(missing), strict=True))
        kept.parent.mkdir(parents=True, exist_ok=True)
        vectors = pa.array([v.tolist() for v in known.values()], pa.list_(pa.float32()))
        pq.write_table(pa.table({"text": list(known), "vector": vectors}), kept)
    return {text: known[text] for text in texts}
