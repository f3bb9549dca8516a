"""Names as numbers, without a Python object a row."""

import numpy as np
import pyarrow as pa

from model.arrow import compute


def coded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values in order, as text; the place (n,) of each value among them)."""
    given = pa.array(np.asarray(values))
    kept = given if pa.types.is_string(given.type) else given.cast(pa.string())
    found = kept.fill_null("").dictionary_encode()
    order = compute.sort_indices(found.dictionary).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    names = np.array(found.dictionary.to_pylist(), object)[order]
    return names, place[found.indices.to_numpy(zero_copy_only=False)]
