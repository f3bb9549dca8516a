"""Bags as columns: shown combinations with their outcomes, as the models take them (CONTRACT 3)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from model.arrow import compute as pc
from model.elements import Elements


class UnknownElement(ValueError):
    """A combination names an element that is not in the elements table."""


@dataclass(frozen=True, eq=False)
class Bags:
    """Row i is one shown combination with its outcome.

    product_id, cluster_id, policy (n,) object str; context: categorical (n,) object str ("" =
    missing), number (n,) float64 (nan = missing); element (n, S) int32 row in Elements, -1 =
    absent; propensity (n,) float64, nan = unknown; impressions, clicks, conversions, value (n,)
    float64; click_mature, conversion_mature (n,) bool; history (n, S, H) float32 as known when
    shown, nan = none.
    """

    product_id: np.ndarray
    cluster_id: np.ndarray
    policy: np.ndarray
    context: dict[str, np.ndarray]
    element: np.ndarray
    propensity: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    conversions: np.ndarray
    value: np.ndarray
    click_mature: np.ndarray
    conversion_mature: np.ndarray
    history: np.ndarray

    def __len__(self) -> int:
        return len(self.product_id)

    def take(self, index: np.ndarray) -> "Bags":
        """These rows, in their order."""
        columns = {
            name: value[index]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return replace(
            self, **columns, context={name: v[index] for name, v in self.context.items()}
        )


def read_bags(table: pa.Table, elements: Elements, context: Mapping[str, str]) -> Bags:
    """Bags of a table with product_id, context and creative; all else has a default.

    creative: list of {slot, element} or {slot, element_id}, map, struct by slot, or JSON text.
    Raises UnknownElement naming the first elements that `elements` does not hold.
    """
    product = _text(table, "product_id")
    shown = read_creative(table["creative"], elements.slots)
    element = _rows(product, shown, elements)
    ones = np.ones(len(table))
    numbers = {
        name: _numbers(table, name, default)
        for name, default in (("impressions", 1.0), ("clicks", 0.0), ("conversions", 0.0))
    }
    cluster = _text(table, "cluster_id") if "cluster_id" in table.column_names else product
    return Bags(
        product_id=product,
        cluster_id=cluster,
        policy=_text(table, "policy"),
        context=read_context(table, context),
        element=element,
        propensity=_numbers(table, "propensity", np.nan),
        **numbers,
        value=_numbers(table, "value", 0.0),
        click_mature=_flags(table, "click_mature", ones),
        conversion_mature=_flags(table, "conversion_mature", ones),
        history=_history(table, element, elements),
    )


def read_context(table: pa.Table, context: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Column `context` (struct, map or JSON text) as arrays by name; absent or null is missing."""
    column = table["context"].combine_chunks() if "context" in table.column_names else None
    if column is None or not pa.types.is_struct(column.type):
        given = [None] * len(table) if column is None else column.to_pylist()
        rows = [_mapping(value) for value in given]
        return {name: _from_rows(rows, name, kind) for name, kind in context.items()}
    return {name: _from_struct(column, name, kind) for name, kind in context.items()}


def _from_struct(column: pa.StructArray, name: str, kind: str) -> np.ndarray:
    if column.type.get_field_index(name) < 0:
        return _missing(len(column), kind)
    field = pc.struct_field(column, name)
    if kind == "number":
        return pc.fill_null(field.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return pc.fill_null(field.cast(pa.string()), "").to_numpy(zero_copy_only=False)


def _from_rows(rows: list[dict[str, Any] | None], name: str, kind: str) -> np.ndarray:
    found = [(row or {}).get(name) for row in rows]
    if kind == "number":
        return np.array([np.nan if v is None else float(v) for v in found], np.float64)
    return np.array(["" if v is None else str(v) for v in found], object)


def _missing(rows: int, kind: str) -> np.ndarray:
    return np.full(rows, np.nan) if kind == "number" else np.full(rows, "", object)


def read_creative(column: pa.ChunkedArray | pa.Array, slots: tuple[str, ...]) -> list[np.ndarray]:
    """For each slot the element ids (n,) object, None where the slot was not shown."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_list(array.type) and pa.types.is_struct(array.type.value_type):
        return _from_list(array, slots)
    if pa.types.is_struct(array.type):
        return [_slot_of_struct(array, slot) for slot in slots]
    rows = [_mapping(value) for value in array.to_pylist()]
    _check_slots({key for row in rows for key in row or {}}, slots)
    return [np.array([(row or {}).get(slot) for row in rows], object) for slot in slots]


def _from_list(array: pa.ListArray, slots: tuple[str, ...]) -> list[np.ndarray]:
    entries = pc.list_flatten(array)
    parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
    names = [field.name for field in entries.type]
    element = "element" if "element" in names else "element_id"
    _check_slots(set(pc.unique(pc.struct_field(entries, "slot")).to_pylist()), slots)
    code = pc.index_in(pc.struct_field(entries, "slot"), pa.array(list(slots))).to_numpy(
        zero_copy_only=False
    )
    ids = pc.struct_field(entries, element).to_numpy(zero_copy_only=False)
    found = []
    for s in range(len(slots)):
        column = np.full(len(array), None, object)
        column[parents[code == s]] = ids[code == s]
        found.append(column)
    return found


def _slot_of_struct(array: pa.StructArray, slot: str) -> np.ndarray:
    if array.type.get_field_index(slot) < 0:
        return np.full(len(array), None, object)
    return pc.struct_field(array, slot).cast(pa.string()).to_numpy(zero_copy_only=False)


def _mapping(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if isinstance(value, str):
        parsed = json.loads(value)
        if not isinstance(parsed, dict):
            raise ValueError(f"found {value[:60]!r}, expected a JSON object")
        return parsed
    return dict(value)


def _check_slots(found: set[str], slots: tuple[str, ...]) -> None:
    strangers = sorted(str(slot) for slot in found - set(slots))
    if strangers:
        raise ValueError(
            f"combinations name slots {', '.join(strangers)}, expected {', '.join(slots)}"
        )


def _rows(product: np.ndarray, shown: list[np.ndarray], elements: Elements) -> np.ndarray:
    element = np.full((len(product), len(shown)), -1, np.int32)
    for s, ids in enumerate(shown):
        present = np.flatnonzero(
            pa.array(ids, pa.string()).is_valid().to_numpy(zero_copy_only=False)
        )
        element[present, s] = elements.find(product[present], s, ids[present])
        lost = present[element[present, s] < 0]
        if len(lost):
            first = ", ".join(
                f"row {i}: product {product[i]}, {elements.slots[s]}={ids[i]}" for i in lost[:3]
            )
            raise UnknownElement(
                f"{len(lost)} of {len(product)} combinations name an element of slot "
                f"{elements.slots[s]} that is not known; first: {first}; give its row of the "
                "catalog's elements table"
            )
    return element


def _text(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        return np.full(len(table), "", object)
    return pc.fill_null(table[name].cast(pa.string()), "").to_numpy(zero_copy_only=False)


def _numbers(table: pa.Table, name: str, default: float) -> np.ndarray:
    if name not in table.column_names or pa.types.is_null(table[name].type):
        return np.full(len(table), default)
    filled = pc.fill_null(table[name].cast(pa.float64()), default)
    return filled.to_numpy(zero_copy_only=False).copy()


def _flags(table: pa.Table, name: str, default: np.ndarray) -> np.ndarray:
    if name not in table.column_names:
        return default.astype(bool)
    return pc.fill_null(table[name], False).to_numpy(zero_copy_only=False).astype(bool)


def _history(table: pa.Table, element: np.ndarray, elements: Elements) -> np.ndarray:
    """As the table says, else the elements' own; nan where a slot is absent."""
    width = elements.history.shape[1]
    shape = (*element.shape, width)
    if "history" not in table.column_names or not width:
        known = elements.history[np.maximum(element, 0)] if len(elements) else np.zeros(shape)
        return np.where((element >= 0)[..., None], known, np.nan).astype(np.float32)
    history = np.full(shape, np.nan, np.float32)
    column = table["history"].combine_chunks()
    slots = pc.list_flatten(column)
    row = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    valid = slots.is_valid().to_numpy(zero_copy_only=False)
    place = np.arange(len(row)) % element.shape[1]
    values = pc.list_flatten(slots).to_numpy(zero_copy_only=False).astype(np.float32)
    history[row[valid], place[valid]] = values.reshape(-1, width)
    return history
