"""The same seed gives the same bits: scatter and embedding gradients in a fixed order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic as memory

FILL = "fill_uninitialized_memory"


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Inside, torch takes its deterministic kernels; on a GPU it warns where there is none.

    New memory is not filled first: a value read before it is written would be a bug of torch's.
    """
    was = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = getattr(memory, FILL)
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    setattr(memory, FILL, False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=warned)
        setattr(memory, FILL, filled)
