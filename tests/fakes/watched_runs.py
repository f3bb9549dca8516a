"""Runs of a day in processes that start quickly, and their log as it grows: to kill them on time.

The processes are forked from one that has imported everything, which an import of seconds in each
would make too slow to kill a day at every moment of interest.
"""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.stages import STAGES

PRELOADED = [
    "torch",
    "feast",
    "mlflow",
    "duckdb",
    "pipelines.local",
    *(f"components.{stage}.stage" for stage in STAGES),
]


@dataclass
class Run:
    """A day under way in a process of its own."""

    process: Any
    log: Path

    def events(self, patience: float = 120) -> Iterator[dict[str, Any]]:
        """Its log lines as they come, until it has ended."""
        with self.log.open() as stream:
            ends, line = time.monotonic() + patience, ""
            while time.monotonic() < ends:
                ended = not self.process.is_alive()  # asked first: it may write and end in between
                line += stream.readline()
                if line.endswith("\n"):
                    if line.startswith('{"at"'):
                        yield json.loads(line)
                    line = ""
                elif ended:
                    return
                else:
                    time.sleep(0.005)
        raise TimeoutError(f"the day did not end: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def start(plan: str, ds: str, log: Path, environment: dict[str, str]) -> Run:
    """The day begins; what it says goes to `log`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    log.touch()
    process = context.Process(target=_day, args=(plan, ds, str(log), environment))
    process.start()
    return Run(process, log)


def _day(plan: str, ds: str, log: str, environment: dict[str, str]) -> None:
    with open(log, "a") as said:
        os.dup2(said.fileno(), sys.stderr.fileno())
    os.environ.update(environment)
    from pipelines import local

    local.run_day(plan, ds, None, lambda stage: None)
