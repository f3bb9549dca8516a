"""The compiled graph run by KFP's own local runner, each step in a process of its own."""

import io
import logging
import os
import time
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from components.day import Day
from components.errors import Failed
from components.manifests import read_manifest
from components.plan import day_of
from pipelines.local import Summary, Watch, read_back


def run_day(plan: str, ds: str, watch: Watch, containers: bool = False) -> Summary:
    """Runs the whole day under KFP's SubprocessRunner; the summary is read off the store.

    With `containers` each step runs in a container of its own instead (pipelines/containers.py).
    """
    from kfp import local

    from pipelines.daily import daily

    day = day_of(plan, ds)
    storage = day.storage()
    before = read_manifest(storage, ds)
    watch("kfp local runner")
    began = time.perf_counter()
    root = Path(day.work) / "kfp"
    root.mkdir(parents=True, exist_ok=True)
    runner, mending = _runner(Path(day.work), containers)
    local.init(runner, pipeline_root=str(root))
    logging.getLogger("kfp").setLevel(logging.ERROR)
    said = io.StringIO()
    try:
        with redirect_stdout(said), mending:
            daily(ds=ds, plan=plan)
    except RuntimeError as error:
        raise Failed(_sentence(error, said.getvalue())) from error
    summary = Summary(ds, seconds={"kfp": round(time.perf_counter() - began, 3)})
    _fill(day, before, summary)
    return summary


def _runner(work: Path, containers: bool) -> tuple[Any, AbstractContextManager[None]]:
    from kfp import local

    if not containers:
        return local.SubprocessRunner(use_venv=False), nullcontext()
    from pipelines import containers as door

    door.open_work(work)
    door.open_work(work / "kfp")
    return local.DockerRunner(**door.runner_arguments(work, dict(os.environ))), door.mended()


def _sentence(error: RuntimeError, said: str) -> str:
    told = [line for line in said.splitlines() if "Error" in line or "components.errors" in line]
    cause = told[-1].strip() if told else str(error)
    return f"a step of the day failed under KFP's local runner: {cause}"


def _fill(day: Day, before: dict | None, summary: Summary) -> None:
    storage = day.storage()
    manifest = read_manifest(storage, day.ds)
    if manifest is None or manifest["verdict"] == "BLOCKED":
        summary.verdict = "BLOCKED"
        summary.reasons = manifest["reasons"] if manifest else []
        return
    summary.attempt = (manifest.get("run") or {}).get("attempt")
    read_back(storage, day.ds, summary)
    if before == manifest:
        summary.verdict = "UNCHANGED"
