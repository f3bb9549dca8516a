"""The compiled graph run by KFP's own local runner, each step in a process of its own."""

import io
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any
from uuid import uuid4

from components.day import Day
from components.errors import Failed, Refused
from components.manifests import read_manifest
from components.plan import day_of
from components.watching import JSON_LOG, RUN_ID
from pipelines.local import Summary, Watch, read_back

STAGE_LINE = '{"at": '


def run_day(plan: str, ds: str, watch: Watch, containers: bool = False) -> Summary:
    """Runs the whole day under KFP's SubprocessRunner; the summary is read off the store.

    With `containers` each step runs in a container of its own instead (pipelines/containers.py).
    """
    from kfp import local

    from pipelines.daily import graph

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
        with redirect_stdout(said), mending, _told_of_stages():
            graph({}, tries=1)(ds=ds, plan=plan)  # there is no pod that could be lost
    except RuntimeError as error:
        if not _fails(said.getvalue()):
            raise Failed(_sentence(error, said.getvalue())) from error
    if _fails(said.getvalue()):  # also what ingest_logs refused, which fails no step
        return _unfinished(ds, said.getvalue(), began)
    whole = time.perf_counter() - began
    summary = Summary(ds, seconds=seconds_of(said.getvalue(), whole))
    _fill(day, before, summary)
    return summary


@contextmanager
def _told_of_stages() -> Iterator[None]:
    """Steps write a JSON line as they end, and know each other as one run."""
    ours = {JSON_LOG: "json", RUN_ID: os.environ.get(RUN_ID) or str(uuid4())}
    before = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def ended(said: str) -> list[dict[str, Any]]:
    """What the steps' logs say of each stage's end, in their order."""
    lines = [line.strip() for line in said.splitlines()]  # KFP's runner indents them
    told = [json.loads(line) for line in lines if line.startswith(STAGE_LINE)]
    return [event for event in told if event["event"] in ("complete", "fail")]


def seconds_of(said: str, whole: float) -> dict[str, float]:
    """Seconds of each stage's own work, and of everything else: "kfp"."""
    found = {event["stage"]: event["seconds"] for event in ended(said)}
    return {**found, "kfp": round(whole - sum(found.values()), 3)}


def _fails(said: str) -> list[dict[str, Any]]:
    return [event for event in ended(said) if event["event"] == "fail"]


def _unfinished(ds: str, said: str, began: float) -> Summary:
    """A refused day is a BLOCKED summary, as through the other doors; anything else is Failed."""
    first = _fails(said)[0]
    kind, _, sentence = first["error"].partition(": ")
    if kind != Refused.__name__:
        raise Failed(f"step {first['stage']} failed under KFP's runner: {sentence}")
    summary = Summary(ds, verdict="BLOCKED", reasons=[sentence])
    summary.seconds = seconds_of(said, time.perf_counter() - began)
    summary.next = f"repair what the reason names, then run ds={ds} again"
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
