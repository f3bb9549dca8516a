"""`genco run`: config and day -> the day done through one of the doors."""

import json
import os
import sys
from pathlib import Path

from components.adapters.identity import Issuer, Person, find_person
from components.errors import Refused, WrongUse
from components.plan import check_ds
from pipelines.config import Config, load_config
from pipelines.environment import identity
from pipelines.local import Summary

RUNNERS = ("local", "kfp")


def schema() -> str:
    """The config's JSON schema, with every default."""
    return json.dumps(Config.model_json_schema(), indent=1)


def work_folder(config: Config) -> Path:
    """Scratch of this machine: beside a local store, else below the current folder."""
    if config.work is not None:
        return Path(config.work).absolute()
    if config.store.startswith("s3://"):
        return Path(".genco", config.name).absolute()
    return Path(config.store).absolute() / "work"


def acting_person(config: Config, named: str | None = None) -> Person:
    """Who acts: as MLflow or the config's issuer says, else --as, GENCO_IDENTITY or the login."""
    asked = config.identity
    issuer = None if asked is None else Issuer(asked.issuer, asked.audience, asked.jwks)
    return find_person(os.environ, named, identity(), tracking_uri(config), issuer)


def tracking_uri(config: Config) -> str:
    """MLflow as configured, else as the environment says, else SQLite in the work folder."""
    configured = config.registry.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    return configured or f"sqlite:///{work_folder(config)}/mlflow.db"


def absolute(config: Config) -> Config:
    """The config with local locations made absolute, so that a step may run anywhere."""
    places = {
        name: place if "://" in place else str(Path(place).absolute())
        for name in ("logs", "catalog", "store")
        if (place := getattr(config, name))
    }
    return config.model_copy(update=places)


def make_plan(config: Config) -> str:
    """The plan of a config as JSON."""
    from pipelines.plan import plan_of

    work, person = work_folder(config), acting_person(config)
    if person.unproven is not None:  # or whoever started a run could approve it by another name
        raise Refused(f"who starts the run is not proven: {person.unproven}; sign in")
    return json.dumps(plan_of(absolute(config), str(work), tracking_uri(config), person.name))


def run(
    file: Path, ds: str, until: str | None, runner: str, rebaseline: str | None = None
) -> Summary:
    """The day's summary; WrongUse before anything is read where the call makes no sense.

    `rebaseline` is the written reason why a champion that can't be read need not be compared with.
    """
    from pipelines.accelerators import check_here
    from pipelines.stages import STAGES

    check_ds(ds)
    if runner == "cluster":
        return _on_cluster(file, ds, until, rebaseline)
    if until is not None and until not in STAGES:
        raise WrongUse(f"--until {until!r} is no stage; expected one of {', '.join(STAGES)}")
    if runner not in RUNNERS:
        raise WrongUse(
            f"--runner {runner!r} is unknown; expected one of {', '.join(RUNNERS)}, cluster"
        )
    if runner == "kfp" and until is not None:
        raise WrongUse("--until goes with --runner local: the compiled graph runs whole")
    config = load_config(file)
    check_here(config, until)
    plan = make_plan(config)
    if rebaseline is not None:
        from pipelines.deciding import open_desk

        open_desk(file, None).rebaseline(rebaseline)
    if runner == "kfp":
        from pipelines import kfp_local

        return kfp_local.run_day(plan, ds, _watch)
    from pipelines import local

    return local.run_day(plan, ds, until, _watch, afresh=rebaseline is not None)


def _on_cluster(file: Path, ds: str, until: str | None, rebaseline: str | None) -> Summary:
    from pipelines import cluster

    if until is not None or rebaseline is not None:
        raise WrongUse("--until and --rebaseline go with --runner local: the graph runs whole")
    return cluster.run_day(load_config(file), ds, lambda line: print(line, file=sys.stderr))


def _watch(stage: str) -> None:
    if sys.stderr.isatty():
        print(f"· {stage.replace('_', ' ')}", file=sys.stderr)


def told(summary: Summary) -> str:
    """The summary for a person: verdict, version, the two pages, the next command."""
    lines = [f"ds={summary.ds}: {summary.verdict or 'stopped as asked'}"]
    lines += [f"  - {reason}" for reason in summary.reasons]
    named = (
        ("version", summary.version),
        ("data page", summary.data_page),
        ("promotion page", summary.promotion_page),
        ("manifest", summary.manifest),
        ("bundle", summary.bundle),
    )
    lines += [f"{name:<15} {value}" for name, value in named if value is not None]
    spent = ", ".join(f"{stage} {took:.1f}" for stage, took in summary.seconds.items())
    lines.append(f"{'seconds':<15} {spent} (total {sum(summary.seconds.values()):.1f})")
    if summary.next:
        lines.append(f"{'next':<15} {summary.next}")
    return "\n".join(lines)
