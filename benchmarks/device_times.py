"""How long a GPU takes for what benchmarks time, and its measured ceilings."""

import statistics
from collections.abc import Callable
from typing import Any

import torch


def milliseconds(run: Callable[[], object], times: int = 10) -> float:
    """Median of device times, after a warm-up."""
    for _ in range(3):
        run()
    found = []
    for _ in range(times):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end))
    return statistics.median(found)


def ceilings() -> tuple[float, float]:
    """(bf16 matmul operations a second, bytes a second of a copy), measured here and now."""
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    rate = 2.0 * n**3 / milliseconds(lambda: a @ b) * 1e3
    source = torch.randn(1 << 30, device="cuda")
    to = torch.empty_like(source)
    return rate, 2.0 * source.numel() * 4 / milliseconds(lambda: to.copy_(source)) * 1e3


def profiled(step: Any, rows: int) -> None:
    """Prints the kernels that take the time, summed over three steps."""
    from torch.profiler import ProfilerActivity, profile

    step.run()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(3):
            step.run()
        torch.cuda.synchronize()
    spent = sorted(seen.key_averages(), key=lambda e: -e.self_device_time_total)
    total = sum(e.self_device_time_total for e in spent)
    for event in spent[:rows]:
        share, each = event.self_device_time_total / total, event.self_device_time_total / 3e3
        print(f"kernel {share:6.1%} {each:8.3f} ms/step x{event.count // 3:4d}  {event.key[:90]}")
