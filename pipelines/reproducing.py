"""`genco reproduce`: a version's inputs, code and seed again, in a scratch store, and compared.

The scratch run shares nothing with the store, the registry or Feast's services; the champion
that the version was judged against is read, and the look's level is taken from the evidence.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.adapters.registry import Registry, Version
from components.adapters.signing import is_intact
from components.day import Day
from components.errors import Failed, Refused, WrongUse
from components.evaluate_candidate import stage as evaluating
from components.evaluate_candidate.incumbent import read_champion
from components.ingest_logs import stage as ingesting
from components.materialize_features import stage as materializing
from components.plan import day_of, settings_of
from components.register_version.stage import open_registry
from components.start import copy_start
from components.train_generator import stage as generating
from components.train_reward import stage as rewarding
from components.training_set import fetch_folder
from components.validate_logs import stage as validating
from model.bundle import BadBundle, verify
from model.evaluation.spending import Look
from pipelines.comparing import compare_bundles, compare_evidence, verdict_of
from pipelines.config import Config, load_config
from pipelines.plan import plan_of
from pipelines.running import absolute, tracking_uri, work_folder

ELSEWHERE = ("GENCO_FEAST_REGISTRY", "GENCO_REDIS", "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI")


def reproduce(file: Path, number: int, force: bool) -> dict[str, Any]:
    """{version, answer, differences}; Refused where code or inputs are others and not forced."""
    config = absolute(load_config(file))
    place = Day(
        ds="", store=config.store, endpoint=config.endpoint_url, work=str(work_folder(config))
    )
    registry = open_registry(place, config.name, tracking_uri(config))
    version = registry.get(number)
    if version is None:
        raise WrongUse(f"version {number} is not registered; genco audit list names those that are")
    Path(place.work).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.work, prefix="reproduce-") as scratch, _apart():
        sealed = fetch_folder(place, version.bundle, Path(scratch) / "sealed")
        try:
            manifest = verify(sealed, is_intact)
        except BadBundle as error:
            raise Refused(str(error)) from error
        plan = _plan(config, Path(scratch), manifest["ds"])
        notes = _same_code(manifest, json.loads(plan)["gate_promotion"]["identity"], force)
        day = _again(plan, place, manifest, force, notes)
        made = fetch_folder(day, day.path(generating.NAME, "bundle"), Path(scratch) / "made")
        evidence = json.loads((sealed / "evidence.json").read_text())
        differences = compare_bundles(sealed, made)
        again = _evidence(day, plan, place, registry, evidence)
        differences += compare_evidence(evidence, again)
    told = [difference.sentence for difference in differences]
    answer = verdict_of(differences)
    return {"version": number, "answer": answer, "differences": told, "notes": notes}


@contextmanager
def _apart() -> Iterator[None]:
    """Without the variables that would lead this run to the real services."""
    kept = {name: os.environ.pop(name) for name in ELSEWHERE if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _plan(config: Config, scratch: Path, ds: str) -> str:
    """The config's plan in a store of its own below the scratch folder."""
    features = config.features.model_copy(update={"registry": None, "redis": None})
    store, work = scratch / "store", scratch / "work"
    alone = {"store": str(store), "work": str(work), "features": features}
    apart = config.model_copy(update=alone)
    told = plan_of(apart, str(work), f"sqlite:///{work}/mlflow.db", "reproduce")
    told[ingesting.NAME]["start"] = None  # what was begun from is in the version's manifest
    return json.dumps(told)


def _same_code(manifest: dict[str, Any], now: dict[str, Any], force: bool) -> list[str]:
    pairs = (
        ("git commit", manifest["git_commit"], now["commit"]),
        ("source digest", manifest["code_digest"], now["digest"]),
        ("config digest", manifest["config_digest"], now["config"]),
        ("seed", manifest["seed"], now["seed"]),
    )
    other = [f"{name} {now} here, {was} then" for name, was, now in pairs if was != now]
    if other and not force:
        raise Refused(
            f"this is not what made the version: {'; '.join(other)}; check out the commit and use "
            "its config, or compare anyway with --force"
        )
    return other


def _again(plan: str, place: Day, manifest: dict[str, Any], force: bool, notes: list[str]) -> Day:
    """The day of the scratch run, trained."""
    settings = settings_of(plan, ingesting.NAME, ingesting.Settings)
    arrived = ingesting.run(day_of(plan, manifest["ds"]), settings)
    was, now = manifest["inputs"], arrived.made
    other = sorted(ds for ds in {*was, *now} if was.get(ds) != now.get(ds))
    if other:
        said = f"the inputs of {', '.join(other)} are not those that the version was made from"
        if not force:
            raise Refused(
                f"{said}: their digests are gone; restore these logs, or compare with --force"
            )
        notes.append(said)
    day = arrived.day
    fit = validating.run(day, settings_of(plan, validating.NAME, validating.Settings))
    if not fit.fit:
        raise Failed(f"the day was fit then and is not now: {' '.join(fit.reasons)}")
    if "start" in manifest:
        copy_start(place, day, manifest["start"])
    for stage in (materializing, rewarding, generating):
        stage.run(day, settings_of(plan, stage.NAME, stage.Settings))  # type: ignore[arg-type]
    return day


def _evidence(
    day: Day, plan: str, place: Day, registry: Registry, was: dict[str, Any]
) -> dict[str, Any]:
    """The evidence of the scratch run, against the same incumbent at the same level."""
    settings = settings_of(plan, evaluating.NAME, evaluating.Settings)
    known: Version | None = None
    if was["incumbent"].get("version") is not None:
        known = registry.get(int(was["incumbent"]["version"]))
    champion = None if known is None else read_champion(place, known)
    value = was["policy_value"]
    look = Look(value["looks"], value["level"])
    return evaluating.measure(day, settings, champion, look)[0]
