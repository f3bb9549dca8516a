"""Seconds and peak memory of a module run in a process of its own."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a process took: wall seconds, CPU seconds, peak resident GiB, and what it printed."""

    seconds: float
    cpu: float
    peak: float
    said: str


def measured(module: str, *arguments: str) -> Cost:
    """The cost of `python -m module arguments`; its imports count too."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    )
    said = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{module} {' '.join(arguments)} ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - began, cpu, usage.ru_maxrss / 2**20, said)
