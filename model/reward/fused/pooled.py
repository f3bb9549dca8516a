"""Weighted sums of a table's rows, and their gradient in an order that is sorted once."""

from dataclasses import dataclass

import torch
from torch import Tensor

RUN = 256  # rows that are added up in one go


@dataclass(frozen=True, eq=False)
class Pool:
    """`rows` sums over k entries: row r of the result is the sum of weight * table[source] over
    entries row[r] to row[r + 1]; run and runs divide long sums: entries run[i] to run[i + 1] are
    one, runs runs[r] to runs[r + 1] are row r's; longest: entries of the longest run."""

    rows: int
    target: Tensor
    source: Tensor
    weight: Tensor
    row: Tensor
    run: Tensor
    runs: Tensor
    longest: int


def pool_of(target: Tensor, source: Tensor, weight: Tensor, rows: int) -> Pool:
    """Of entries (k,): row `target` of the sums takes `weight` times row `source`."""
    order = torch.argsort(target, stable=True)
    count = torch.bincount(target, minlength=rows)
    row = _behind(count)
    parts = ((count + RUN - 1) // RUN).clamp(min=1)
    runs = _behind(parts)
    owner = torch.repeat_interleave(torch.arange(rows, device=target.device), parts)
    part = torch.arange(len(owner), device=target.device) - runs[owner]
    run = torch.cat([row[owner] + part * RUN, row[-1:]])
    return Pool(
        rows, target[order], source[order].int(), weight[order].float(), row.int(), run.int(),
        runs.int(), min(int(count.max()) if rows else 0, RUN),
    )  # fmt: skip


def _behind(count: Tensor) -> Tensor:
    return torch.cat([count.new_zeros(1), count.cumsum(0)])
