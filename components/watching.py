"""What is seen of a stage from outside: a log line, a lineage event, a span, where configured.

GENCO_LOG=json writes a JSON line to stderr when a stage begins and ends. OpenLineage and
OpenTelemetry are asked only where their own variables say where to (components/adapters). That
one of them can't be reached is told in a log line and stops nothing.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from pydantic import BaseModel

from components.adapters import lineage, telemetry
from components.adapters.clock import now
from components.day import Day
from components.disk import told_when_full

R = TypeVar("R", bound=BaseModel)
RUN_ID = "GENCO_RUN_ID"  # in a pod from its label pipeline/runid (pipelines/daily.py)
JSON_LOG = "GENCO_LOG"
READS_WRITES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ingest_logs": (("logs", "catalog"), ("bags", "unfit_rows")),
    "validate_logs": (("bags", "unfit_rows"), ("manifest", "quarantine", "data_page")),
    "materialize_features": (("bags", "manifest"), ("features", "training_set")),
    "train_reward": (("training_set",), ("reward_model",)),
    "train_generator": (("training_set", "reward_model"), ("draft_bundle",)),
    "evaluate_candidate": (("training_set", "draft_bundle"), ("evidence",)),
    "register_version": (("draft_bundle", "evidence"), ("bundle",)),
    "gate_promotion": (("bundle", "evidence"), ("decision", "promotion_page")),
    "publish_policy": (("bundle", "catalog"), ("policy",)),
    "notify": (("decision", "data_page"), ()),
}
_OWN = str(uuid4())


def run_id() -> str:
    """The run's UUID: as the platform names it, else one for this process."""
    given = os.environ.get(RUN_ID, "")
    try:
        return str(UUID(given))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, given)) if given else _OWN


def observed(stage: str, day: Day, work: Callable[[], R]) -> R:
    """The stage's result; whoever is configured to watch saw it begin and end."""
    with watched(stage, day) as numbers, told_when_full(day.work):
        result = work()
        numbers |= numbers_of(result)
    return result


def numbers_of(result: BaseModel) -> dict[str, float]:
    """The numbers of a stage's result by name, one level of nesting joined by a dot."""
    found: dict[str, float] = {}
    for name, value in result.model_dump().items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for key, number in inner:
            if isinstance(number, int | float):
                found[f"{name}.{key}".rstrip(".")] = number
    return found


@contextmanager
def watched(stage: str, day: Day) -> Iterator[dict[str, Any]]:
    """What the block puts into the yielded numbers is told with its end."""
    numbers: dict[str, Any] = {}
    began = time.perf_counter(), time.process_time()
    with ExitStack() as stack:
        span = None
        if telemetry.is_configured(os.environ):
            attributes = {"genco.ds": day.ds, "genco.run": run_id(), "genco.store": day.store}
            span = stack.enter_context(telemetry.span(stage, run_id(), attributes))
        _tell("START", stage, day)
        try:
            yield numbers
        except BaseException as error:
            _end(stage, day, began, {}, f"{type(error).__name__}: {error}")
            raise
        if span is not None:
            span.set_attributes({f"genco.{name}": value for name, value in numbers.items()})
        _end(stage, day, began, numbers, "")


def _end(
    stage: str, day: Day, began: tuple[float, float], numbers: dict[str, Any], said: str
) -> None:
    seconds, cpu = round(time.perf_counter() - began[0], 3), time.process_time() - began[1]
    spent = {"seconds": seconds, "cpu_seconds": round(cpu, 3)}
    _tell("FAIL" if said else "COMPLETE", stage, day, said, **spent, **numbers)
    if telemetry.is_configured(os.environ):
        outcome = {"genco.stage": stage, "genco.outcome": "failed" if said else "done"}
        telemetry.measure(seconds, outcome)


def _tell(
    state: Literal["START", "COMPLETE", "FAIL"], stage: str, day: Day, said: str = "", **more: Any
) -> None:
    log(state.lower(), stage=stage, ds=day.ds, attempt=day.attempt or None, **more, error=said)
    if not lineage.is_configured(os.environ):
        return
    try:
        lineage.emit(event_of(state, stage, day, said))
    except Exception as error:  # whatever a transport raises: the day goes on unseen
        log("lineage not sent", stage=stage, ds=day.ds, error=f"{type(error).__name__}: {error}")


def event_of(
    state: Literal["START", "COMPLETE", "FAIL"], stage: str, day: Day, said: str
) -> lineage.Event:
    """The event, its datasets named by store and day."""
    reads, writes = READS_WRITES[stage]
    namespace = day.store if "://" in day.store else f"file://{day.store}"
    return lineage.Event(
        state=state,
        at=now(),
        namespace="genco",
        job=f"genco-daily.{stage}",
        run=str(uuid5(UUID(run_id()), f"{day.ds} {stage}")),
        parent="genco-daily",
        parent_run=run_id(),
        inputs=tuple((namespace, f"{name}/ds={day.ds}") for name in reads),
        outputs=tuple((namespace, f"{name}/ds={day.ds}") for name in writes),
        said=said,
    )


def log(event: str, **facts: Any) -> None:
    """One JSON line on stderr with the run's id, where GENCO_LOG=json asks for it."""
    if os.environ.get(JSON_LOG) != "json":
        return
    told = {name: value for name, value in facts.items() if value not in (None, "")}
    line = {"at": now().isoformat(), "event": event, "run": run_id(), **told}
    print(json.dumps(line, default=str), file=sys.stderr, flush=True)
