"""`genco run --runner cluster`: the day submitted to Kubeflow Pipelines and followed to its end.

The pipeline's version is named by the hash of its YAML, so the same graph is uploaded once. A run
is named by model, day and plan: where such a run is still going it is followed, not started again.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.adapters.clock import now
from components.adapters.kubeflow import Kubeflow, NotAllowed
from components.adapters.kubeflow_told import Run
from components.errors import Failed, GencoError, WrongUse
from components.image import IMAGE
from components.manifests import BLOCKED, read_manifest
from components.plan import day_of
from components.step import read_word
from pipelines.accelerators import check_pods, told_at_submit
from pipelines.config import Cluster, Config
from pipelines.local import Summary, Watch, read_back
from pipelines.placement import GPU
from pipelines.running import make_plan

PATIENCE_S = 600  # a step that waits for a node longer is told of
SLIPS = 5  # answers in a row that may fail while a run is followed
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Package:
    """The compiled graph: its YAML and the version's name, which holds the YAML's hash."""

    content: bytes
    version: str


def open_cluster(cluster: Cluster) -> Kubeflow:
    """The API server that the config or KF_PIPELINES_ENDPOINT names."""
    host = cluster.host or os.environ.get("KF_PIPELINES_ENDPOINT")
    if not host:
        raise WrongUse(
            "no Kubeflow Pipelines is configured; set cluster.host in the config, or "
            "KF_PIPELINES_ENDPOINT, to its URL (docs/runbook.md#cluster)"
        )
    if not host.startswith(("http://", "https://")):
        raise WrongUse(f"cluster.host is {host!r}; expected a URL with http:// or https://")
    token = os.environ.get(cluster.token_env) or None
    return Kubeflow(host, cluster.namespace, token, cluster.timeout_s)


def compiled(config: Config) -> Package:
    """The daily graph; WrongUse where an image is not pinned by its digest."""
    from pipelines.compile import compiled_yaml

    cluster = config.cluster
    content = compiled_yaml(config.pods())
    if cluster.image:
        content = content.replace(
            f"image: {IMAGE}\n".encode(), f"image: {cluster.image}\n".encode()
        )
    for image in sorted(images_of(content)):
        if "@sha256:" not in image:
            raise WrongUse(
                f"the steps' image is {image!r}, which names no digest, so it may change under a "
                "run; set cluster.image (or GENCO_IMAGE) to NAME@sha256:DIGEST (make image prints it)"
            )
    return Package(content, f"{cluster.pipeline}-{hashlib.sha256(content).hexdigest()[:12]}")


def images_of(content: bytes) -> set[str]:
    """The images of every executor of a compiled graph."""
    graph = next(iter(yaml.safe_load_all(content)))
    executors = graph["deploymentSpec"]["executors"].values()
    return {one["container"]["image"] for one in executors if "container" in one}


def upload(kubeflow: Kubeflow, cluster: Cluster, package: Package) -> tuple[str, str]:
    """(pipeline's id, version's id) of this very graph on the server."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "daily.yaml")
        file.write_bytes(package.content)
        return kubeflow.ensure_version(cluster.pipeline, package.version, file)


def cluster_plan(config: Config, package: Package) -> str:
    """The plan as pods need it; WrongUse where it names what only this machine has."""
    told: dict[str, Any] = json.loads(make_plan(config))
    uri = told["register_version"]["tracking_uri"]
    places = {"logs": config.logs, "catalog": config.catalog, "store": config.store}
    local = [f"{name} is {place}" for name, place in places.items() if "://" not in place]
    if not uri.startswith(("http://", "https://")):
        local.append(f"MLflow is {uri.split('@')[-1]}")
    if local:
        raise WrongUse(
            f"{'; '.join(local)}: a cluster's pods don't see files of this machine; expected "
            "s3:// locations and MLflow's URL (registry.tracking_uri or MLFLOW_TRACKING_URI)"
        )
    told["place"]["work"] = f"{config.cluster.work}/{config.name}"
    image = next(iter(images_of(package.content))).rpartition("@")[2]
    for settings in told.values():
        if isinstance(settings.get("identity"), dict) and settings["identity"]["image"] == "local":
            settings["identity"]["image"] = image
    return json.dumps(told, sort_keys=True)


def run_day(
    config: Config, ds: str, watch: Watch, sleep: Sleep = time.sleep, today: str | None = None
) -> Summary:
    """The day's summary once its run has ended; Failed where it did not succeed."""
    today = today or now().date().isoformat()
    if ds > today:
        raise WrongUse(f"ds={ds} is in the future (today is {today}); its logs can't be whole")
    check_pods(config)
    package = compiled(config)
    plan = cluster_plan(config, package)
    kubeflow = open_cluster(config.cluster)
    version = upload(kubeflow, config.cluster, package)
    experiment = kubeflow.ensure_experiment(config.name)
    name = run_name(config.name, ds, plan)
    number = kubeflow.active_run(experiment, name)
    if number is None:
        account = config.cluster.service_account
        number = kubeflow.submit(experiment, name, version, {"ds": ds, "plan": plan}, account)
        watch(f"{name}: submitted, {kubeflow.run_link(number)}")
        for said in told_at_submit(config):
            watch(said)
    else:
        watch(f"{name}: is going already, {kubeflow.run_link(number)}")
    began = time.perf_counter()
    ended = follow(kubeflow, number, config.cluster, watch, sleep)
    summary = Summary(ds, seconds={"cluster": round(time.perf_counter() - began, 3)})
    word = read_word(day_of(plan, ds), number)
    if word is not None and word.blocks(ended.state):
        summary.verdict, summary.reasons = BLOCKED, [word.said]
        summary.next = f"repair what the reason names, then run ds={ds} again"
        return summary
    if ended.state != "SUCCEEDED":
        raise Failed(sentence(ended, kubeflow.run_link(number)))
    _fill(plan, ds, summary)
    return summary


def run_name(model: str, ds: str, plan: str) -> str:
    """What a person reads in the list of runs; the end tells plans of one day apart."""
    return f"{model} {ds} {hashlib.sha256(plan.encode()).hexdigest()[:8]}"


def follow(kubeflow: Kubeflow, number: str, cluster: Cluster, watch: Watch, sleep: Sleep) -> Run:
    """The run once it has ended, a line for every step that changes meanwhile."""
    seen: dict[str, str] = {}
    slips, waited, warned = 0, 0.0, False
    while waited <= cluster.wait_hours * 3600:
        try:
            run, slips = kubeflow.run(number), 0
        except NotAllowed:
            raise
        except Failed as error:
            slips += 1
            if slips >= SLIPS:
                raise
            watch(f"{error}; asking again")
            run = None
        if run is not None:
            _tell(run, seen, watch)
            if run.has_ended:
                return run
            if waited >= PATIENCE_S and not warned and "PENDING" in {run.state, *seen.values()}:
                warned = True
                watch(f"waits since {waited / 60:.0f} min: is a node (and a {GPU}) free for it?")
        sleep(cluster.poll_s)
        waited += cluster.poll_s
    raise Failed(
        f"the run did not end within {cluster.wait_hours:g} h and goes on; run the same command "
        f"again to follow it, or open {kubeflow.run_link(number)}"
    )


def _tell(run: Run, seen: dict[str, str], watch: Watch) -> None:
    now = {"the run": run.state} | {task.name: task.state for task in run.tasks}
    for name, state in now.items():
        if seen.get(name) != state:
            watch(f"{name}: {state.lower()}")
    seen |= now


def sentence(run: Run, link: str) -> str:
    """Why a run did not succeed: its failed step, what the step said, where to look."""
    broken = [task for task in run.tasks if task.state == "FAILED" and task.said]
    told = f"step {broken[0].name} failed: {broken[0].said}" if broken else run.said
    ended = f"run {run.name} ended {run.state}"
    hint = "open it, and run the day again once the cause is gone: what is done is not done twice"
    if GPU in f"{told} {run.said}":
        hint = (
            f"no node offers {GPU}: add one, or train on the CPU by "
            "cluster.steps.train_generator.accelerators: 0 in the config"
        )
    return f"{ended}; {told or 'it gives no cause'}; {hint}; {link}"


def _fill(plan: str, ds: str, summary: Summary) -> None:
    """What the store says of the day; that it can't be read here does not undo the run."""
    summary.reasons = ["the run succeeded; its store can't be read from here, see the run's page"]
    with suppress(GencoError):
        storage = day_of(plan, ds).storage()
        manifest = read_manifest(storage, ds)
        summary.reasons = []
        if manifest is None or manifest["verdict"] == BLOCKED:
            summary.verdict = "BLOCKED"
            summary.reasons = manifest["reasons"] if manifest else ["nothing is published for it"]
            return
        summary.attempt = (manifest.get("run") or {}).get("attempt")
        read_back(storage, ds, summary)
