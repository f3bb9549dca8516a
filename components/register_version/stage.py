"""Draft bundle and evidence -> a sealed bundle and a version in MLflow, the challenger.

The version is named by what it was made from: the same inputs, code and seed find the version
that is already there. Version, ledger entry, tag, alias are made in this order, and each only
where it is not there yet, so a run after a kill completes what was begun.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.adapters.clock import now
from components.adapters.ledger import Ledger
from components.adapters.registry import (
    BUNDLE,
    CHALLENGER,
    ENTRY,
    FINGERPRINT,
    Registry,
    Version,
    platform_run,
)
from components.adapters.signing import open_signer
from components.day import Day, Frozen, to_json
from components.materialize_features.stage import NAME as FEATURES
from components.register_version.card import model_card
from components.register_version.sbom import sbom
from components.start import read_start
from components.train_generator.stage import NAME as GENERATOR
from components.training_set import fetch_folder, upload_folder
from components.window import read_window
from model.attribution import attribution_table
from model.bundle import SIGNATURE, load_bundle, seal

NAME = "register_version"
REGISTERED = "registered"


class Settings(Frozen):
    """The model's name, MLflow, and the code that made the version."""

    name: str
    tracking_uri: str
    identity: dict[str, Any]
    config_digest: str


class Result(Frozen):
    """The version, its sealed bundle below the store, and whether it is new."""

    version: int
    bundle: str
    fresh: bool


def open_registry(day: Day, name: str, tracking_uri: str) -> Registry:
    """The registry of this model."""
    return Registry(tracking_uri, name, Path(day.work) / "mlartifacts")


def run(day: Day, settings: Settings, evidence: str) -> Result:
    """The version exists and is the challenger; `evidence` is evaluate_candidate's file."""
    registry = open_registry(day, settings.name, settings.tracking_uri)
    version = registry.find(day.attempt)
    fresh = version is None
    if version is None:
        place = day.path(NAME, "bundle")
        facts = json.loads(day.storage().read(evidence))
        card = _seal(day, settings, facts, place)
        version = registry.register(
            day.storage().locate(place),
            _tags(day, settings, facts, place),
            _metrics(facts),
            {"card.md": card},
        )
    _record(day, settings, registry, version)
    registry.point(CHALLENGER, version.number)
    return Result(version=version.number, bundle=version.bundle, fresh=fresh)


def _tags(day: Day, settings: Settings, facts: dict[str, Any], place: str) -> dict[str, str]:
    """What a version says of where it came from."""
    origin = facts["provenance"]
    return {
        FINGERPRINT: day.attempt,
        BUNDLE: place,
        "genco.ds": day.ds,
        "genco.run": platform_run(),
        "genco.commit": settings.identity["commit"],
        "genco.image": settings.identity["image"],
        "genco.config": settings.config_digest,
        "genco.inputs": origin["inputs"],
        "genco.features": origin["features"],
        "genco.seed": str(settings.identity["seed"]),
    }


def _record(day: Day, settings: Settings, registry: Registry, version: Version) -> None:
    """The ledger holds the version with its manifest's digest, and the version names the entry."""
    ledger = Ledger(day.storage(), settings.name)
    known = [
        entry
        for entry in ledger.entries()
        if entry["kind"] == REGISTERED and entry["version"] == version.number
    ]
    manifest = day.storage().read(f"{version.bundle}/manifest.json")
    entry = (
        known[-1]
        if known
        else ledger.append(
            REGISTERED,
            now(),
            version=version.number,
            ds=version.tags["genco.ds"],
            fingerprint=version.tags[FINGERPRINT],
            manifest=hashlib.sha256(manifest).hexdigest(),
        )
    )
    if ENTRY not in version.tags:
        registry.tag(version.number, ENTRY, str(entry["number"]))


def _seal(day: Day, settings: Settings, facts: dict[str, Any], place: str) -> str:
    """Uploads the sealed bundle; returns its card."""
    storage = day.storage()
    features = json.loads(storage.read(day.path(FEATURES, "result.json")))
    start = read_start(day)
    with day.scratch("bundle") as scratch:
        folder = fetch_folder(day, day.path(GENERATOR, "bundle"), scratch)
        bundle = load_bundle(folder, sealed=False)
        earned = attribution_table(bundle.reward, bundle.elements)
        pq.write_table(earned, folder / "attribution.parquet", compression="zstd")
        card = model_card(bundle, facts, earned)
        (folder / "card.md").write_text(card)
        (folder / "evidence.json").write_bytes(to_json(facts))
        (folder / "sbom.json").write_text(sbom(settings.identity["commit"]))
        seal(
            folder,
            {
                "name": settings.name,
                "ds": day.ds,
                "attempt": day.attempt,
                "git_commit": settings.identity["commit"],
                "image_digest": settings.identity["image"],
                "code_digest": settings.identity["digest"],
                "config_digest": settings.config_digest,
                "inputs": read_window(day).made,
                "feature_service": features["fingerprint"],
                "seed": settings.identity["seed"],
                "parent_version": facts["incumbent"]["version"],
                **({} if start is None else {"start": start.model_dump()}),
            },
        )
        signer = open_signer(storage, Path(day.work))
        (folder / SIGNATURE).write_bytes(signer.sign((folder / "manifest.json").read_bytes()))
        upload_folder(day, folder, place)
    return card


def _metrics(facts: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of the evidence under a dotted name, as MLflow takes it."""
    found: dict[str, float] = {}
    for key, value in facts.items():
        name = f"{prefix}{key}".replace("%", "pc")
        if isinstance(value, dict):
            found |= _metrics(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name[:250]] = float(value)
    return found
