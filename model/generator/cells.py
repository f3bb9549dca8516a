"""Cells: the distinct (product, context) pairs behind many bags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Cells:
    """`first[c]` is a row that shows cell c; `of[i]` is the cell of row i."""

    first: np.ndarray  # (cell,) int64
    of: np.ndarray  # (n,) int64


def distinct_cells(product_id: np.ndarray, context: Mapping[str, np.ndarray]) -> Cells:
    """The cells of n rows, numbered in the order of their codes (the same for the same rows)."""
    of = codes(product_id)
    for name in context:
        column = codes(context[name])
        _, of = np.unique(of * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    _, first, of = np.unique(of, return_index=True, return_inverse=True)
    return Cells(first.astype(np.int64), of.astype(np.int64))


def codes(values: np.ndarray) -> np.ndarray:
    """(n,) int64: equal values (nan equals nan) have equal codes."""
    if values.dtype != object:
        return np.unique(values, return_inverse=True)[1].astype(np.int64)
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return encoded.indices.fill_null(len(encoded.dictionary)).to_numpy().astype(np.int64)


def take_context(context: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """The context of some rows."""
    return {name: values[rows] for name, values in context.items()}


def one_cell(context: Mapping[str, object], kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The context of one request as arrays of length 1; what is missing is "" or nan."""
    return columns_of([context], kinds)


def columns_of(
    contexts: Sequence[Mapping[str, object]], kinds: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """The contexts of n requests as arrays of length n; what is missing is "" or nan."""
    columns: dict[str, np.ndarray] = {}
    for name, kind in kinds.items():
        values = [context.get(name) for context in contexts]
        if kind == "number":
            columns[name] = np.array([np.nan if v is None else v for v in values], np.float64)
        else:
            columns[name] = np.array(["" if v is None else str(v) for v in values], object)
    return columns


def rows_by_product(product_id: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """(distinct products in sorted order, (n,) int64 index of each row's product)."""
    found, index = np.unique(np.asarray(product_id, dtype=str), return_inverse=True)
    return [str(name) for name in found], index.astype(np.int64)
