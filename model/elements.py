"""The candidate elements of all products as columns: ids, content, history (CONTRACT 2)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from model.arrow import compute as pc
from model.codes import coded

KEY = ("product_id", "slot", "element_id")
MANY = 4096  # looked up at once as text


@dataclass(frozen=True, eq=False)
class Elements:
    """Row i is one candidate of one product's slot.

    product_id, element_id, text, attributes (m,) object str ("" = none; attributes are canonical
    JSON), slot (m,) int16 index into `slots`, embedding: for each slot float32 (m, d) with zeros
    in other slots' rows, or None; history (m, H) float32, nan = unknown.
    """

    slots: tuple[str, ...]
    product_id: np.ndarray
    slot: np.ndarray
    element_id: np.ndarray
    text: np.ndarray
    attributes: np.ndarray
    embedding: tuple[np.ndarray | None, ...]
    history: np.ndarray
    history_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.product_id)

    @staticmethod
    def from_table(
        table: pa.Table, slots: Sequence[str], history_names: Sequence[str] = ()
    ) -> "Elements":
        """Elements of a catalog table; `history` is a list column in the order of the names.

        Raises ValueError on an unknown slot, a key that repeats, or an embedding of the wrong
        length or with values that are not finite.
        """
        slot = _slot_codes(table["slot"], slots)
        elements = Elements(
            slots=tuple(slots),
            product_id=_strings(table, "product_id"),
            slot=slot,
            element_id=_strings(table, "element_id"),
            text=_strings(table, "text"),
            attributes=_attributes(table),
            embedding=_embeddings(table, slot, tuple(slots)),
            history=_history(table, len(history_names)),
            history_names=tuple(history_names),
        )
        elements._check_keys()
        return elements

    def _check_keys(self) -> None:
        ordered = self._packed[self._order]
        if (ordered[1:] == ordered[:-1]).any():
            values, counts = np.unique(self._packed, return_counts=True)
            first = str(values[counts > 1][0]).replace("\x1f", ", ")
            raise ValueError(
                f"{int((counts > 1).sum())} elements repeat (product, slot index, element), first: "
                f"{first}; expected each once: correct the catalog snapshot"
            )

    @cached_property
    def _packed(self) -> np.ndarray:
        return pack(self.product_id, self.slot, self.element_id)

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(self._packed, kind="stable")

    @cached_property
    def _products(self) -> dict[str, np.ndarray]:
        order = np.lexsort((self.element_id.astype(str), self.slot, self.product_id.astype(str)))
        names = self.product_id[order].astype(str)
        values, starts = np.unique(names, return_index=True)
        return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=True))

    def find(self, product_id: np.ndarray, slot: int, element_id: np.ndarray) -> np.ndarray:
        """(n,) int32 rows of these elements of a slot, -1 where unknown."""
        if not len(self) or not len(product_id):
            return np.full(len(product_id), -1, np.int32)
        if len(product_id) > MANY:
            return self._find_many(product_id, slot, element_id)
        wanted = pack(product_id, np.full(len(product_id), slot), element_id)
        known = self._packed[self._order]
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[place] == wanted, self._order[place], -1).astype(np.int32)

    def _find_many(self, product_id: np.ndarray, slot: int, element_id: np.ndarray) -> np.ndarray:
        """As `find`, each distinct pair looked up once."""
        products, product = coded(product_id)
        names, element = coded(element_id)
        pairs, which = np.unique(product * len(names) + element, return_inverse=True)
        parts = np.array_split(pairs, -(-len(pairs) // MANY))
        found = [self.find(products[p // len(names)], slot, names[p % len(names)]) for p in parts]
        return np.concatenate(found)[which.reshape(-1)]

    def rows_of(self, product_id: str) -> tuple[np.ndarray, ...]:
        """Rows of the product's candidates, a slot each, by element id; empty where there are none."""
        rows = self._products.get(product_id, np.zeros(0, np.int64))
        ends = np.searchsorted(self.slot[rows], np.arange(len(self.slots) + 1)).tolist()
        found = rows.astype(np.int32)
        return tuple(found[first:last] for first, last in pairwise(ends))

    def take(self, rows: np.ndarray) -> "Elements":
        """These rows, in their order."""
        return Elements(
            self.slots,
            self.product_id[rows],
            self.slot[rows],
            self.element_id[rows],
            self.text[rows],
            self.attributes[rows],
            tuple(None if e is None else e[rows] for e in self.embedding),
            self.history[rows],
            self.history_names,
        )

    def concat(self, newer: "Elements") -> "Elements":
        """Both; a newer row replaces the one with its key, keeping its history where it has none.

        Raises ValueError where the slots or the lengths of embeddings differ.
        """
        if newer.slots != self.slots:
            raise ValueError(f"found slots {newer.slots}, expected {self.slots} as in the bundle")
        replaced = np.isin(self._packed, newer._packed)
        kept = self.take(np.flatnonzero(~replaced))
        history = self._history_for(newer)
        embedding = tuple(
            _stacked(a, b, self.slots[s], len(kept), len(newer))
            for s, (a, b) in enumerate(zip(kept.embedding, newer.embedding, strict=True))
        )
        return Elements(
            self.slots,
            np.concatenate([kept.product_id, newer.product_id]),
            np.concatenate([kept.slot, newer.slot]),
            np.concatenate([kept.element_id, newer.element_id]),
            np.concatenate([kept.text, newer.text]),
            np.concatenate([kept.attributes, newer.attributes]),
            embedding,
            np.concatenate([kept.history, history]),
            self.history_names,
        )

    def _history_for(self, newer: "Elements") -> np.ndarray:
        width = self.history.shape[1]
        history = np.full((len(newer), width), np.nan, np.float32)
        if newer.history_names == self.history_names:
            history = newer.history.copy()
        for slot in range(len(self.slots)):
            rows = np.flatnonzero((newer.slot == slot) & np.isnan(history).all(axis=1))
            found = self.find(newer.product_id[rows], slot, newer.element_id[rows])
            history[rows[found >= 0]] = self.history[found[found >= 0]]
        return history

    def matching(self, others: "Elements") -> "Elements":
        """The rows whose keys the others have, with this side's content and history."""
        return self.take(np.flatnonzero(np.isin(self._packed, others._packed)))

    def table(self) -> pa.Table:
        """The columns as a table that from_table reads back."""
        embedding = [
            None if e is None else e[i].tolist()
            for i, e in enumerate(self.embedding[s] for s in self.slot)
        ]
        missing = np.atleast_1d(np.isnan(self.history).all(axis=1))
        history = [
            None if gone else row.tolist() for gone, row in zip(missing, self.history, strict=True)
        ]
        return pa.table(
            {
                "product_id": pa.array(self.product_id, pa.string()),
                "slot": pa.array(np.array(self.slots, object)[self.slot], pa.string()),
                "element_id": pa.array(self.element_id, pa.string()),
                "text": pa.array(self.text, pa.string()),
                "attributes": pa.array(self.attributes, pa.string()),
                "embedding": pa.array(embedding, pa.list_(pa.float32())),
                "history": pa.array(history, pa.list_(pa.float32())),
            }
        )


def pack(product_id: np.ndarray, slot: np.ndarray, element_id: np.ndarray) -> np.ndarray:
    """(n,) text keys that are equal for equal (product, slot, element)."""
    parts = [np.asarray(column).astype(str) for column in (product_id, slot, element_id)]
    joined = np.char.add(np.char.add(parts[0], "\x1f"), np.char.add(parts[1], "\x1f"))
    return np.char.add(joined, parts[2])


def _strings(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        return np.full(len(table), "", object)
    return pc.fill_null(table[name].cast(pa.string()), "").to_numpy(zero_copy_only=False)


def _slot_codes(column: pa.ChunkedArray, slots: Sequence[str]) -> np.ndarray:
    codes = pc.index_in(column.cast(pa.string()), pa.array(list(slots)))
    if codes.null_count:
        strangers = sorted(set(map(str, column.to_pylist())) - set(slots))
        raise ValueError(
            f"elements have slots {', '.join(strangers)}, expected {', '.join(slots)}; correct the "
            "catalog or the config's slots"
        )
    return codes.to_numpy(zero_copy_only=False).astype(np.int16)


def _attributes(table: pa.Table) -> np.ndarray:
    if "attributes" not in table.column_names:
        return np.full(len(table), "", object)
    if pa.types.is_string(table["attributes"].type):
        return _strings(table, "attributes")
    rows = (_canonical(row) for row in table["attributes"].to_pylist())
    return np.array(list(rows), object)


def _canonical(row: dict[str, Any] | None) -> str:
    present = {key: value for key, value in (row or {}).items() if value is not None}
    return json.dumps(present, sort_keys=True, default=str) if present else ""


def _embeddings(
    table: pa.Table, slot: np.ndarray, slots: tuple[str, ...]
) -> tuple[np.ndarray | None, ...]:
    if "embedding" not in table.column_names:
        return (None,) * len(slots)
    column = table["embedding"].combine_chunks()
    if pa.types.is_null(column.type):
        return (None,) * len(slots)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    values = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    return tuple(
        _slot_embedding(
            table, name, np.flatnonzero((slot == s) & (lengths > 0)), lengths, starts, values
        )
        for s, name in enumerate(slots)
    )


def _slot_embedding(
    table: pa.Table,
    name: str,
    rows: np.ndarray,
    lengths: np.ndarray,
    starts: np.ndarray,
    values: np.ndarray,
) -> np.ndarray | None:
    if not len(rows):
        return None
    sizes, counts = np.unique(lengths[rows], return_counts=True)
    if len(sizes) > 1:
        usual = int(sizes[counts.argmax()])
        odd = rows[lengths[rows] != usual]
        raise ValueError(
            f"{len(odd):,} of {len(rows):,} embeddings of slot {name} have another length than "
            f"{usual}, first: {_named(table, odd[0])} with {int(lengths[odd[0]])}; expected one "
            "length a slot: correct the catalog"
        )
    width = int(sizes[0])
    filled = np.zeros((len(lengths), width), np.float32)
    filled[rows] = values[starts[rows][:, None] + np.arange(width)]
    bad = rows[~np.isfinite(filled[rows]).all(axis=1)]
    if len(bad):
        raise ValueError(
            f"{len(bad):,} of {len(rows):,} embeddings of slot {name} hold values that are not "
            f"finite, first: {_named(table, bad[0])}; expected numbers: correct the catalog"
        )
    return filled


def _named(table: pa.Table, row: int) -> str:
    """The element of a row, as the catalog names it."""
    return f"element {table['element_id'][row]} of product {table['product_id'][row]}"


def _history(table: pa.Table, width: int) -> np.ndarray:
    history = np.full((len(table), width), np.nan, np.float32)
    if width and "history" in table.column_names:
        column = table["history"].combine_chunks()
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        flat = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.float32)
        history[rows] = flat.reshape(len(rows), width)
    return history


def _stacked(
    old: np.ndarray | None, new: np.ndarray | None, slot: str, olds: int, news: int
) -> np.ndarray | None:
    if old is None and new is None:
        return None
    width = (old if old is not None else new).shape[1]  # type: ignore[union-attr]
    if old is not None and new is not None and new.shape[1] != width:
        raise ValueError(
            f"embeddings of slot {slot} have length {new.shape[1]}, expected {width} as in the "
            "bundle; embed the catalog with the same encoder"
        )
    first = old if old is not None else np.zeros((olds, width), np.float32)
    second = new if new is not None else np.zeros((news, width), np.float32)
    return np.concatenate([first, second])
