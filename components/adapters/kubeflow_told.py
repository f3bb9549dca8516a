"""Runs and recurring runs as Kubeflow's API tells them, without its SDK's types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})


@dataclass(frozen=True)
class Task:
    """A step as the server shows it; said: its error, "" where there is none."""

    name: str
    state: str
    said: str = ""


@dataclass(frozen=True)
class Run:
    """A run as the server shows it."""

    number: str
    name: str
    state: str
    said: str
    tasks: tuple[Task, ...]

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True)
class Repeated:
    """What a recurring run does: which parameters, when, how many at once."""

    name: str
    description: str
    cron: str
    max_concurrency: int
    no_catchup: bool
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Recurring(Repeated):
    """One that is on the server, with its id there and its pipeline version's."""

    number: str
    enabled: bool
    version: str


@dataclass(frozen=True)
class Wanted(Repeated):
    """One to be made."""

    service_account: str | None = None


def run_of(number: str, told: Any) -> Run:
    """A run, from the server's answer."""
    details = told.run_details.task_details if told.run_details else None
    tasks = tuple(Task(t.display_name or t.task_id, t.state or "", _said(t)) for t in details or ())
    return Run(number, told.display_name, told.state or "PENDING", _said(told), tasks)


def recurring_of(told: Any) -> Recurring:
    """A recurring run, from the server's answer."""
    schedule = told.trigger.cron_schedule if told.trigger else None
    reference = told.pipeline_version_reference
    settings = told.runtime_config
    return Recurring(
        number=told.recurring_run_id,
        name=told.display_name or "",
        description=told.description or "",
        cron=(schedule.cron or "") if schedule else "",
        enabled=told.mode == "ENABLE",
        max_concurrency=int(told.max_concurrency or 1),
        no_catchup=bool(told.no_catchup),
        version=(reference.pipeline_version_id or "") if reference else "",
        parameters=dict(settings.parameters or {}) if settings else {},
    )


def _said(told: Any) -> str:
    return " ".join(str(told.error.message or "").split()) if told.error else ""
