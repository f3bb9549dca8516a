"""`genco schedule plan|apply`: recurring runs equal to a declared file.

A recurring run can't be updated, only replaced. Ours carry a mark in their description: the model,
the schedule's name and a hash of pipeline version, cron and parameters. What carries no mark of
this model is never touched.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from components.adapters.kubeflow import Kubeflow
from components.adapters.kubeflow_told import Recurring, Wanted
from components.day import Frozen
from components.errors import Failed, WrongUse
from pipelines import cluster
from pipelines.accelerators import check_pods
from pipelines.cluster import Package, cluster_plan, compiled, open_cluster
from pipelines.config import Config, load_config
from pipelines.cron import check_cron
from pipelines.local import Watch

MARK = "genco-schedule: "
MACRO = "[[ScheduledTime.2006-01-02]]"  # KFP writes the day of the schedule in Go's form
BACK = {"today": 0, "yesterday": 1}
Doing = Literal["keep", "create", "replace", "disable", "remove"]


class Schedule(Frozen):
    """One recurring run: six-field cron in UTC; `day` is learned from, seen from the cron's day."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    cron: str
    day: Literal["yesterday", "today"] = "yesterday"
    max_concurrency: Annotated[int, Field(ge=1, le=10)] = 1
    catch_up: bool = False


class Schedules(Frozen):
    """The file: whose config, and every schedule that there shall be."""

    config: str
    schedules: tuple[Schedule, ...]


@dataclass(frozen=True)
class Change:
    """What is to be done about one recurring run, and why."""

    doing: Doing
    name: str
    why: str
    wanted: Wanted | None = None
    there: Recurring | None = None


@dataclass(frozen=True)
class Declared:
    """The file as it asks to be on the server."""

    config: Config
    package: Package
    wanted: dict[str, Wanted]


def read_schedules(file: Path) -> Schedules:
    """The declared schedules; WrongUse for an unknown key, a repeated name or a cron that is none."""
    try:
        told = Schedules.model_validate(yaml.safe_load(file.read_text()))
    except OSError as error:
        raise WrongUse(f"schedules {file} cannot be read: {error.strerror}; give --file") from error
    except (yaml.YAMLError, ValidationError) as error:
        said = "; ".join(str(error).splitlines()[:3])
        raise WrongUse(f"schedules {file} are not valid: {said}; see deploy/base") from error
    names = [one.name for one in told.schedules]
    if len(set(names)) != len(names):
        raise WrongUse(f"schedules {file} repeat a name: {', '.join(sorted(names))}")
    for one in told.schedules:
        check_cron(one.cron, f"schedule {one.name} of {file}")
    return told


def declared(file: Path) -> Declared:
    """What the file asks for, with the plan and the pipeline version of this checkout."""
    told = read_schedules(file)
    config = load_config(file.parent / told.config)
    check_pods(config)
    package = compiled(config)
    plan = cluster_plan(config, package)
    wanted = {one.name: _wanted(config, one, package, plan) for one in told.schedules}
    return Declared(config, package, wanted)


def _wanted(config: Config, one: Schedule, package: Package, plan: str) -> Wanted:
    ds = f"{MACRO} minus {BACK[one.day]}" if BACK[one.day] else MACRO
    parameters = {"ds": ds, "plan": plan}
    digest = _digest(config, one, package, plan)
    mark = {"model": config.name, "schedule": one.name, "hash": digest, "version": package.version}
    return Wanted(
        name=f"{config.name} {one.name} {digest}",
        description=f"Kept by genco schedule apply; changes here are undone.\n{MARK}"
        + json.dumps(mark, sort_keys=True),
        cron=one.cron,
        max_concurrency=one.max_concurrency,
        no_catchup=not one.catch_up,
        parameters=parameters,
        service_account=config.cluster.service_account,
    )


def _digest(config: Config, one: Schedule, package: Package, plan: str) -> str:
    """Names version, cron and parameters, whoever applies them."""
    told = json.loads(plan)
    for settings in told.values():
        settings.pop("author", None)
    parts = [one.model_dump(), package.version, told, config.cluster.service_account]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def mark_of(there: Recurring) -> dict[str, str] | None:
    """Our mark in a recurring run's description, None where there is none."""
    lines = [line for line in there.description.splitlines() if line.startswith(MARK)]
    with suppress(ValueError):
        mark = json.loads(lines[-1].removeprefix(MARK)) if lines else None
        if isinstance(mark, dict) and {"model", "schedule", "hash"} <= set(mark):
            return mark
    return None


def changes(told: Declared, there: Sequence[Recurring], version: str | None) -> list[Change]:
    """What makes the server equal to the file; `version`: the id of the file's pipeline version."""
    ours: dict[str, list[Recurring]] = {}
    for one in there:
        mark = mark_of(one)
        if mark is not None and mark["model"] == told.config.name:
            ours.setdefault(mark["schedule"], []).append(one)
    found = []
    for name, wanted in told.wanted.items():
        found += _one(name, wanted, ours.pop(name, []), version)
    for name, orphans in sorted(ours.items()):
        for one in orphans:
            if one.enabled:
                found.append(Change("disable", name, "the file does not name it", there=one))
    return found


def _one(name: str, wanted: Wanted, there: list[Recurring], version: str | None) -> list[Change]:
    """Changes of one schedule: at most one recurring run stays."""
    if not there:
        return [Change("create", name, "it is not there", wanted)]
    same = [one for one in there if not differences(wanted, one, version)]
    if same:
        extra = [one for one in there if one is not same[0]]
        kept = Change("keep", name, "as declared", wanted, same[0])
        return [kept, *(_removed(name, one) for one in extra)]
    last = there[-1]
    why = "; ".join(differences(wanted, last, version))
    return [
        *(_removed(name, one) for one in there[:-1]),
        Change("replace", name, why, wanted, last),
    ]


def _removed(name: str, one: Recurring) -> Change:
    return Change("remove", name, "it is there more than once", there=one)


def differences(wanted: Wanted, there: Recurring, version: str | None) -> list[str]:
    """What a recurring run has otherwise than declared, also where it was edited by hand."""
    found = []
    if not there.enabled:
        found.append("it was disabled by hand")
    for word, now, then in (
        ("cron", there.cron, wanted.cron),
        ("max_concurrency", there.max_concurrency, wanted.max_concurrency),
        ("no_catchup", there.no_catchup, wanted.no_catchup),
    ):
        if now != then:
            found.append(f"{word} is {now!r}, declared {then!r}")
    if there.version != version or _hash(there.description) != _hash(wanted.description):
        found.append("pipeline version or parameters are others")
    elif _bare(there.parameters) != _bare(wanted.parameters):
        found.append("its parameters were edited by hand")
    return found


def _hash(description: str) -> str:
    return description.rsplit(MARK, 1)[-1]


def _bare(parameters: Mapping[str, Any]) -> tuple[Any, Any]:
    """Parameters without who applied them."""
    told = json.loads(parameters.get("plan") or "{}")
    for settings in told.values():
        settings.pop("author", None)
    return parameters.get("ds"), told


def plan(file: Path) -> list[Change]:
    """What apply would do; nothing is changed."""
    told = declared(file)
    kubeflow = open_cluster(told.config.cluster)
    version = kubeflow.find_version(told.config.cluster.pipeline, told.package.version)
    return changes(told, kubeflow.recurring_runs(), version)


def apply(file: Path, watch: Watch) -> list[Change]:
    """What was done; after a failure in the middle the next apply does the rest."""
    told = declared(file)
    kubeflow = open_cluster(told.config.cluster)
    version = cluster.upload(kubeflow, told.config.cluster, told.package)
    experiment = kubeflow.ensure_experiment(told.config.name)
    found = changes(told, kubeflow.recurring_runs(), version[1])
    for change in found:
        _do(kubeflow, experiment, version, change)
        watch(f"{change.doing:<8} {change.name}: {change.why}")
    return found


def _do(kubeflow: Kubeflow, experiment: str, version: tuple[str, str], change: Change) -> None:
    if change.doing == "create" and change.wanted is not None:
        kubeflow.create_recurring(experiment, version, change.wanted)
    elif change.doing == "replace" and change.wanted is not None and change.there is not None:
        _replace(kubeflow, experiment, version, change.wanted, change.there)
    elif change.doing == "disable" and change.there is not None:
        kubeflow.disable_recurring(change.there.number)
    elif change.doing == "remove" and change.there is not None:
        kubeflow.delete_recurring(change.there.number)


def _replace(
    kubeflow: Kubeflow, experiment: str, version: tuple[str, str], wanted: Wanted, was: Recurring
) -> None:
    """The old one rests while the new one is made, so that no day is run by both.

    Where the new one can't be made the old one goes on as it was.
    """
    if was.enabled:
        kubeflow.disable_recurring(was.number)
    try:
        kubeflow.create_recurring(experiment, version, wanted)
    except Failed:
        with suppress(Failed):
            made = {one.name for one in kubeflow.recurring_runs() if one.enabled}
            if was.enabled and wanted.name not in made:  # it may be there although we heard no
                kubeflow.enable_recurring(was.number)
        raise
    kubeflow.delete_recurring(was.number)


def to_dict(found: Sequence[Change]) -> dict[str, Any]:
    """The changes as JSON."""
    rows = [
        {
            "doing": one.doing,
            "schedule": one.name,
            "why": one.why,
            "cron": one.wanted.cron if one.wanted else None,
            "recurring_run": one.there.number if one.there else None,
        }
        for one in found
    ]
    return {"changes": rows, "equal": all(one.doing == "keep" for one in found)}


def words(found: Sequence[Change]) -> str:
    """The changes for a person, a line each."""
    lines = [f"{one.doing:<8} {one.name}: {one.why}" for one in found]
    return "\n".join(lines) or "no schedule is declared and none of ours is there"
