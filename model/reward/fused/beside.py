"""Work that a GPU does side by side, in a CUDA graph too: small kernels alone leave most of it idle."""

from collections.abc import Callable
from functools import cache

import torch


def beside(device: torch.device, *works: Callable[[], object]) -> None:
    """Does all of them, none of which needs another; what follows waits for all."""
    if device.type != "cuda":
        for work in works:
            work()
        return
    here = torch.cuda.current_stream(device)
    others = [_stream(device, number) for number in range(len(works) - 1)]
    for work, stream in zip(works[1:], others, strict=True):
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            work()
    works[0]()
    for stream in others:
        here.wait_stream(stream)


@cache
def _stream(device: torch.device, number: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
