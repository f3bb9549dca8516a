"""A function of a test run by several processes at once, joined as torchrun joins them."""

import os
import subprocess
import sys
from pathlib import Path

from own_ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, sys
from importlib import import_module
from model.processes import joined
module, function, *words = sys.argv[1:]
with joined(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "cpu") as processes:
    getattr(import_module(module), function)(processes, *words)
"""


def surroundings() -> dict[str, str]:
    """The environment in which a process finds our packages and the tests' own."""
    path = os.pathsep.join(str(ROOT / part) for part in (".", "tests/fakes", "tests/laws"))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def together(count: int, module: str, function: str, *words: str) -> None:
    """`function(processes, *words)` of a test's module, in `count` processes on loopback."""
    given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    given["WORLD_SIZE"] = str(count)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, module, function, *words],
            env={**surroundings(), **given, "RANK": str(rank)},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    told = [process.communicate(timeout=240)[1] for process in started]
    failed = [process.returncode for process in started if process.returncode]
    assert not failed, "\n".join(told)
