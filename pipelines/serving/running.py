"""Config -> the policy served, until it is told to stop."""

import os
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from components.adapters.clock import now
from components.errors import WrongUse
from pipelines.config import load_config
from pipelines.running import absolute, work_folder
from pipelines.serving.counter import Counter, Limits
from pipelines.serving.impressions import ImpressionLog, Rotation

GRACE = 20  # seconds in which requests under way are answered after SIGTERM


@dataclass(frozen=True)
class Options:
    """Where it listens, where its log goes, and its limits; seed None draws one."""

    host: str
    port: int
    log_to: Path | None
    limits: Limits
    rotation: Rotation
    seed: int | None = None


def serve(file: Path, options: Options) -> None:
    """Serves until SIGTERM; on loopback unless told otherwise."""
    import torch
    import uvicorn

    from pipelines.serving.answering import Answering
    from pipelines.serving.app import application
    from pipelines.serving.champion import Champions
    from pipelines.serving.metrics import Metrics

    _check(options)
    signal.signal(signal.SIGTERM, _done)  # the server raises it again when it has stopped
    torch.set_num_threads(1)
    config = absolute(load_config(file))
    champions, metrics = Champions(config, now), Metrics()
    folder = options.log_to or work_folder(config) / "served"
    log = ImpressionLog(folder.absolute(), options.rotation, f"{os.getpid()}")
    answering = Answering(log, np.random.default_rng(options.seed), _instant)

    def open_counter() -> Counter:
        return Counter(champions, answering, metrics, options.limits)

    app = application(open_counter, metrics, now)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )


def _done(number: int, frame: object) -> None:
    """Being told to stop is no failure."""
    sys.exit(0)


def _instant() -> datetime:
    return datetime.now(UTC)


def _check(options: Options) -> None:
    limits, rotation = options.limits, options.rotation
    for name, value in (
        ("--queue", limits.waiting),
        ("--batch", limits.batch),
        ("--poll", limits.poll),
        ("--rotate-rows", rotation.rows),
        ("--rotate-seconds", rotation.seconds),
    ):
        if not value > 0:
            raise WrongUse(f"{name} is {value}, expected a number above 0")
