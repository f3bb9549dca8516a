"""The same stages in the same order as pipelines/daily.py, in this process."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.adapters.storage import Storage
from components.day import Day, attempt_path, manifest_path
from components.errors import Conflict, GencoError, Refused
from components.manifests import read_manifest
from components.plan import day_of, settings_of
from components.watching import observed

Watch = Callable[[str], None]


@dataclass
class Summary:
    """What `genco run --json` prints (CONTRACT 6)."""

    ds: str
    version: int | None = None
    verdict: str | None = None
    reasons: list[str] = field(default_factory=list)
    bundle: str | None = None
    data_page: str | None = None
    promotion_page: str | None = None
    manifest: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    attempt: str | None = None
    next: str | None = None


class Stopwatch:
    """Seconds by stage, and a word to whoever watches when a stage begins."""

    def __init__(self, watch: Watch) -> None:
        self.seconds: dict[str, float] = {}
        self._watch = watch

    def run(self, day: Day, plan: str, stage: Any, *more: Any) -> Any:
        """The stage's result by its part of the plan."""
        settings = settings_of(plan, stage.NAME, stage.Settings)
        self._watch(stage.NAME)
        began = time.perf_counter()
        try:
            return observed(stage.NAME, day, lambda: stage.run(day, settings, *more))
        finally:
            self.seconds[stage.NAME] = round(time.perf_counter() - began, 3)


def run_day(
    plan: str, ds: str, until: str | None, watch: Watch, afresh: bool = False, again: bool = False
) -> Summary:
    """Runs the day, or up to and including stage `until`; a refused day is a BLOCKED summary.

    `afresh` judges again what was judged before; `again`: a day that loses a race is run again by
    who asked, so that nobody is told of it (Conflict).
    """
    day = day_of(plan, ds)
    clock = Stopwatch(watch)
    summary = Summary(ds)
    failed: str | None = "it was interrupted"
    silent = False
    try:
        try:
            _stages(day, plan, until, clock, summary, afresh)
        except Conflict:
            raise  # another run was first: nothing is wrong with the day
        except Refused as error:
            summary.verdict = "BLOCKED"
            summary.reasons.append(str(error))
            summary.next = f"repair what the reason names, then run ds={ds} again"
        failed = None
    except Exception as error:
        failed, silent = str(error), again and isinstance(error, Conflict)
        raise
    finally:
        summary.seconds = clock.seconds
        if not silent and (until is None or failed is not None):
            _tell(day, plan, failed, clock, summary)
    return summary


def _stages(
    day: Day, plan: str, until: str | None, clock: Stopwatch, summary: Summary, afresh: bool
) -> None:
    from components.ingest_logs import stage as ingest_logs
    from components.validate_logs import stage as validate_logs

    day = clock.run(day, plan, ingest_logs).day
    summary.attempt = day.attempt
    if until == "ingest_logs":
        return
    if not afresh and unchanged(day.storage(), day, summary):
        return
    judged = clock.run(day, plan, validate_logs)
    where = day.storage().locate
    summary.data_page, summary.manifest = where(judged.data_page), where(judged.manifest)
    if not judged.fit:
        summary.verdict, summary.reasons = "BLOCKED", judged.reasons
        summary.next = f"open {summary.data_page}, repair the source, run ds={day.ds} again"
    elif until != "validate_logs":
        _learn(day, plan, until, clock)
        read_back(day.storage(), day.ds, summary)


def _learn(day: Day, plan: str, until: str | None, clock: Stopwatch) -> None:
    """From fit bags to a judged version and a published policy, or up to `until`."""
    from components.materialize_features import stage as materialize_features
    from components.train_generator import stage as train_generator
    from components.train_reward import stage as train_reward

    for stage in (materialize_features, train_reward, train_generator):
        clock.run(day, plan, stage)
        if until == stage.NAME:
            return
    _judge(day, plan, until, clock)


def _judge(day: Day, plan: str, until: str | None, clock: Stopwatch) -> None:
    from components.evaluate_candidate import stage as evaluate_candidate
    from components.gate_promotion import stage as gate_promotion
    from components.publish_policy import stage as publish_policy
    from components.register_version import stage as register_version

    evidence = clock.run(day, plan, evaluate_candidate).evidence
    if until == evaluate_candidate.NAME:
        return
    version = clock.run(day, plan, register_version, evidence).version
    if until == register_version.NAME:
        return
    clock.run(day, plan, gate_promotion, evidence, version)
    if until != gate_promotion.NAME:
        clock.run(day, plan, publish_policy, version)


def unchanged(storage: Storage, day: Day, summary: Summary) -> bool:
    """Whether this very attempt was judged before; the summary then repeats what it came to."""
    manifest = read_manifest(storage, day.ds)
    run = (manifest or {}).get("run")
    if run is None or run["attempt"] != day.attempt or "policy" not in (manifest or {}):
        return False
    read_back(storage, day.ds, summary)
    was = summary.verdict
    summary.verdict = "UNCHANGED"
    summary.reasons = [
        f"inputs, config, code and seed of ds={day.ds} are those of version {run['version']}, "
        f"judged {was}"
    ]
    return True


def read_back(storage: Storage, ds: str, summary: Summary) -> None:
    """Fills the summary from what the day's manifest says of its run."""
    manifest = read_manifest(storage, ds)
    run: dict[str, Any] = (manifest or {}).get("run") or {}
    if not run or run["attempt"] != summary.attempt:
        return
    assert manifest is not None
    summary.version, summary.verdict = run["version"], run["verdict"]
    summary.reasons, summary.next = run["reasons"], run["next"]
    summary.bundle = storage.locate(run["bundle"])
    page = manifest["pages"].get("data") or _data_page(storage, ds, run["attempt"])
    summary.data_page = storage.locate(page)
    summary.promotion_page = storage.locate(run["page"])
    summary.manifest = storage.locate(manifest_path(ds))


def _data_page(storage: Storage, ds: str, attempt: str) -> str:
    """The page of a run's own day, where a later day's run published the day again without one."""
    made = json.loads(storage.read(f"{attempt_path(ds, attempt)}/ingest_logs/result.json"))["made"]
    return f"{attempt_path(ds, made[ds])}/validate_logs/data.html"


def _tell(day: Day, plan: str, failed: str | None, clock: Stopwatch, summary: Summary) -> None:
    """The run's one message; that it could not be sent does not undo the day."""
    from components.notify import stage as notify

    status = "FAILED" if failed is not None else summary.verdict or "DONE"
    cause = failed or " ".join(summary.reasons[:1])
    next_command = summary.next or f"genco run --ds {day.ds} --config <the same config>"
    try:
        clock.run(day, plan, notify, status, cause, next_command)
    except GencoError as error:
        summary.reasons.append(str(error))
