"""The training set and elements of an attempt, as the models read them."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.day import Day
from components.errors import Refused
from components.materialize_features.stage import NAME
from model.bags import Bags, read_bags
from model.elements import Elements

BEFORE = "history_before"


@dataclass(frozen=True)
class TrainingSet:
    """Bags of the window with their elements; `held_out` marks the rows that judge."""

    bags: Bags
    held_out: np.ndarray
    elements: Elements
    table: pa.Table
    days: np.ndarray = field(default_factory=lambda: np.zeros(0, "U10"))  # (n,) text

    def judging(self) -> "TrainingSet":
        """The same with every history as it was known when judging began.

        A policy that is scored on held-out rows may not know what happened on them; shown and
        drawn combinations are seen alike, as the doubly robust estimate asks.
        """
        table = self.table.drop_columns(["history"]).rename_columns(
            ["history" if n == BEFORE else n for n in self.table.column_names if n != "history"]
        )
        elements = Elements.from_table(table, self.elements.slots, self.elements.history_names)
        known = elements.history[np.maximum(self.bags.element, 0)]
        history = np.where((self.bags.element >= 0)[..., None], known, np.nan).astype(np.float32)
        return replace(self, bags=replace(self.bags, history=history), elements=elements)

    def judging_days(self) -> set[str]:
        """The days of the rows that judge."""
        days = self.days[self.held_out]
        return set(np.unique(days).tolist())

    @property
    def train(self) -> Bags:
        return self.bags.take(np.flatnonzero(~self.held_out))

    @property
    def holdout(self) -> Bags:
        return self.bags.take(np.flatnonzero(self.held_out))


def read_training_set(
    day: Day, slots: tuple[str, ...], context: dict[str, str], names: list[str]
) -> TrainingSet:
    """What materialize_features wrote for this attempt. Raises Refused where the catalog's
    embeddings have several lengths or are no numbers."""
    storage = day.storage()
    table = pq.read_table(storage.fetch(day.path(NAME, "elements.parquet")))
    try:
        elements = Elements.from_table(table, slots, tuple(names))
    except ValueError as error:
        raise Refused(f"the catalog for ds={day.ds} cannot be learned from: {error}") from error
    rows = pq.ParquetFile(storage.fetch(day.path(NAME, "training_set.parquet"))).read()
    bags = read_bags(rows, elements, context)
    held_out = rows["held_out"].to_numpy(zero_copy_only=False)
    days = rows["ds"].cast(pa.string()).to_numpy(zero_copy_only=False).astype("U10")
    return TrainingSet(bags, held_out, elements, table, days)


def fetch_folder(day: Day, prefix: str, target: Path) -> Path:
    """A local folder with the objects directly below a prefix."""
    storage = day.storage()
    target.mkdir(parents=True, exist_ok=True)
    for stored in storage.listing(prefix):
        name = stored.path.rsplit("/", 1)[-1]
        (target / name).write_bytes(storage.fetch(stored.path).read_bytes())
    return target


def upload_folder(day: Day, folder: Path, prefix: str) -> None:
    """The folder's files as objects below a prefix."""
    for file in sorted(folder.iterdir()):
        if file.is_file():
            day.storage().upload(file, f"{prefix}/{file.name}")
