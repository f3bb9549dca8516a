"""Rows of a batch, without a copy where there is nothing to choose from."""

from torch import Tensor


def taken(part: Tensor, rows: Tensor) -> Tensor:
    """part[rows]; a single row of a single one is that one itself, so it is not to be written to."""
    return part if part.shape[0] == rows.shape[0] == 1 else part[rows]
