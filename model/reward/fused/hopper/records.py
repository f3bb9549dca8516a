"""A log's rows as records, each of them all that the kernels read of a row."""

import torch
from torch import Tensor
from torch.nn import functional as F

from model.reward.fused.hopper.source import multiple
from model.reward.fused.layout import Held

COUNTED = ("clicks", "displays", "bought", "mature", "converted")
WORD, CORE = 16, 8  # bytes that are copied at once; rows and columns of a core of a matrix


def parts(held: Held) -> int:
    """How many bf16 numbers a context is held as."""
    return 1 if held.exact else 2


def widest(held: Held) -> int:
    """Elements of the product with most."""
    return max(int(held.count.max()), 1)


def seen(held: Held) -> int:
    """Columns of the matrix that a block's rows are: elements, then contexts, both by cores."""
    return multiple(widest(held), CORE) + multiple(parts(held) * held.sizes.context, CORE)


def info_words(held: Held) -> int:
    """Words of a record before its contexts."""
    places = 2 * multiple(held.sizes.slots, 4)
    return multiple(4 * (len(COUNTED) + held.sizes.members) + places, WORD) // WORD


def records(held: Held) -> Tensor:
    """(n, bytes): float32 counts and weights, int16 places of elements, bf16 contexts.

    A place is where the element's one lies in the row's matrix of cores, in bytes; what is absent
    lies behind all columns.
    """
    counted = torch.stack([getattr(held, name) for name in COUNTED], dim=1)
    local = F.pad(held.local.int(), (0, -held.sizes.slots % 4), value=-1)
    local = torch.where(local < 0, seen(held), local)
    places = (local // CORE * 1024 + local % CORE * 2).short()
    high = held.context.bfloat16()
    contexts = [high] if held.exact else [high, (held.context - high.float()).bfloat16()]
    return torch.cat([_words(counted, held.weight, places), _words(*contexts)], dim=1)


def _words(*told: Tensor) -> Tensor:
    whole = torch.cat([part.contiguous().view(torch.uint8) for part in told], dim=1)
    return F.pad(whole, (0, -whole.shape[1] % WORD))
