"""A training stage by as many processes as its settings say, or as torchrun started.

On one machine the stage starts torchrun itself, on loopback: where a process dies all are started
again, from the last checkpoint. Under somebody else's torchrun (a TrainJob) it joins.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel

from components import errors
from components.day import Day, once, to_json
from components.devices import choose_device
from components.errors import Failed, GencoError
from model.processes import ALONE, Processes, joined

MODULE = "components.one_process"
RESTARTS = 3  # by us: torchrun's own reads addresses of the processes that died (docs/adr)
DIED = re.compile(r"rank\s*:\s*(\d+)[^\n]*\n\s*exitcode\s*:\s*(-?\d+)")


class Asked(Protocol):
    """What is asked of the settings of a training stage."""

    @property
    def processes(self) -> int: ...
    @property
    def device(self) -> str: ...
    def model_dump_json(self) -> str: ...


R = TypeVar("R", bound=BaseModel)
Work = Callable[[str, Processes], R]


def trained(day: Day, stage: str, settings: Asked, result: type[R], work: Work[R]) -> R:
    """The stage's result; `work(device, processes)` is done once an attempt, by all processes.

    Only the first process may write, and it writes the result last.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return _joined(day, stage, settings, result, work)
    if settings.processes > 1:
        return once(day, stage, result, lambda: _launched(day, stage, settings, result))
    return once(day, stage, result, lambda: work(choose_device(settings.device), ALONE))


def _joined(day: Day, stage: str, settings: Asked, result: type[R], work: Work[R]) -> R:
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = choose_device(settings.device, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if device == "cuda":
        import torch

        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    storage, path = day.storage(), day.path(stage, "result.json")
    with joined(rank, count, device) as processes:
        if processes.first(float(storage.exists(path))):  # one answer: it may come in between
            return result.model_validate_json(storage.read(path))
        if rank:
            return work(device, processes)
        return once(day, stage, result, lambda: work(device, processes))


def _launched(day: Day, stage: str, settings: Asked, result: type[R]) -> R:
    """The result that torchrun's processes left. Raises what they raised."""
    count, storage, path = settings.processes, day.storage(), day.path(stage, "result.json")
    log = Path(day.work) / "logs" / f"{day.attempt}-{stage}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with day.scratch("processes") as folder:
        asked = {"day": day.model_dump(), "settings": json.loads(settings.model_dump_json())}
        told = json.dumps(
            {"stage": stage, **asked}
        )  # unsorted: a context's order is its encoding's
        (folder / "asked.json").write_text(told)
        log.write_bytes(b"")
        for _ in range(RESTARTS + 1):
            _run([*torchrun(count), MODULE, str(folder / "asked.json")], count, log)
            if storage.exists(path):
                return result.model_validate_json(storage.read(path))
            for failure in sorted(folder.glob("failed-*.json")):
                raise failure_of(failure)
    raise Failed(_sentence(stage, count, log))


def _run(command: list[str], count: int, log: Path) -> None:
    with log.open("a") as said:
        subprocess.run(
            command,
            env=_surroundings(count),
            preexec_fn=_ends_with_its_parent,
            stdout=said,
            stderr=said,
            check=False,
        )


def torchrun(count: int) -> list[str]:
    """The command, up to the module that `count` processes of this machine run."""
    return [
        sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "--standalone",
        "--local-addr=127.0.0.1", "--max-restarts=0", "-m",
    ]  # fmt: skip


def write_failure(error: GencoError, to: Path) -> None:
    """Leaves an expected failure for the process that waits for this one."""
    to.write_bytes(to_json({"kind": type(error).__name__, "sentence": str(error)}))


def failure_of(file: Path) -> GencoError:
    """The failure that `write_failure` left."""
    told = json.loads(file.read_text())
    return getattr(errors, told["kind"], Failed)(told["sentence"])


def _sentence(stage: str, count: int, log: Path) -> str:
    found = DIED.findall(log.read_text(errors="replace"))
    how = "ended without a result"
    if found:
        rank, code = found[-1][0], int(found[-1][1])
        by = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        how = f"ended without a result: process {rank} {by}"
    return (
        f"{stage} on {count} processes {how}, {RESTARTS} restarts included; {log} holds what they "
        "said; the last checkpoint stands, so run again to go on from it"
    )


def _surroundings(count: int) -> dict[str, str]:
    """Cores shared among the processes; this machine's loopback between them."""
    threads = str(max(1, (os.cpu_count() or 1) // count))
    loopback = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    return {"OMP_NUM_THREADS": threads, **os.environ, **loopback}


def _ends_with_its_parent() -> None:
    """SIGTERM when the parent is gone, so that a killed run leaves no training behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
