"""The same seed gives the same bits: scatter and embedding gradients in a fixed order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """Inside, torch takes its deterministic kernels; on a GPU it warns where there is none."""
    was = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=warned)
