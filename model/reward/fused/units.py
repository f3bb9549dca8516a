"""Which rows a program of the kernels reads: a batch in runs of one product, none too long."""

from dataclasses import dataclass

import torch
from torch import Tensor

SHORTEST, LONGEST, PROGRAMS = 64, 2048, 1024


@dataclass(frozen=True, eq=False)
class Units:
    """unit (U, 4) int32: product, first row, row behind the last, place of its sum (-1: it is the
    product's only unit); total (1,) of them that are meant; begin (P + 1,) first unit of a product;
    slots (P,) place of the first of its sums."""

    unit: Tensor
    total: Tensor
    begin: Tensor
    slots: Tensor


def run_length(rows: int) -> int:
    """Rows of a unit: few units for sums to be cheap, enough for every multiprocessor."""
    return max(SHORTEST, min(LONGEST, rows // PROGRAMS // SHORTEST * SHORTEST))


def most_units(rows: int, products: int) -> int:
    return products + rows // run_length(rows)


def most_sums(rows: int) -> int:
    """Places for sums of products that have several units."""
    return 2 * (rows // run_length(rows)) + 1


def units_of(starts: Tensor, rows: int) -> Units:
    """Of a batch of `rows` rows, product p's being starts[p] to starts[p + 1]; on the device."""
    length, products = run_length(rows), len(starts) - 1
    held = starts[1:] - starts[:-1]
    parts = ((held + length - 1) // length).clamp(min=1)
    behind = parts.cumsum(0, dtype=torch.int32)
    number = torch.arange(most_units(rows, products), dtype=torch.int32, device=starts.device)
    product = torch.searchsorted(behind, number, right=True).clamp(max=products - 1)
    part = number - (behind - parts)[product]
    first = starts[product] + part * length
    last = torch.minimum(first + length, starts[product + 1])
    several = parts > 1
    sums = torch.where(several, parts, 0)
    slots = sums.cumsum(0, dtype=torch.int32) - sums
    slot = torch.where(several[product], slots[product] + part, -1)
    return Units(
        torch.stack([product.int(), first.int(), last.int(), slot.int()], dim=1),
        behind[-1:],
        torch.cat([behind.new_zeros(1), behind]),
        slots.int(),
    )
