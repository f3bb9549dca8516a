"""The champion's verified bundle with the newest day's candidates and rules, ready to choose."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from components.adapters.ledger import Ledger
from components.adapters.registry import CHAMPION, Version
from components.adapters.signing import ABSENT, UNKNOWN, WRONG, is_intact, open_trust
from components.adapters.storage import Storage
from components.day import Day
from components.errors import Refused
from components.promotion import attempt_of
from components.publish_policy.stage import todays_elements, todays_rules
from components.register_version.stage import REGISTERED, open_registry
from components.training_set import fetch_folder
from model.bundle import SIGNATURE, BadBundle, Bundle, load_bundle
from model.serving import ServingPolicy
from pipelines.config import Config
from pipelines.running import tracking_uri, work_folder

WARMED = 512  # products read before the first request asks for them


@dataclass(frozen=True)
class Source:
    """What would be served now: the champion, and the attempt of the day it takes elements from."""

    version: Version
    ds: str
    attempt: str

    def is_same(self, other: "Source") -> bool:
        """Whether the same policy would come of it; a version's tags may change meanwhile."""
        mine = (self.version.number, self.version.bundle, self.ds, self.attempt)
        return mine == (other.version.number, other.version.bundle, other.ds, other.attempt)


@dataclass(frozen=True, eq=False)
class Serving:
    """A policy that serves; `name` is what the log calls it."""

    source: Source
    name: str
    policy: ServingPolicy
    since: datetime

    @property
    def number(self) -> int:
        return self.source.version.number


class Champions:
    """Looks up who the champion is, and loads it; `clock` gives the time in UTC."""

    def __init__(self, config: Config, clock: Callable[[], datetime]) -> None:
        self._config, self._clock = config, clock
        work = str(work_folder(config))
        self._place = Day(ds="", store=config.store, endpoint=config.endpoint_url, work=work)
        self._registry = open_registry(self._place, config.name, tracking_uri(config))

    def source(self) -> Source | None:
        """The champion and the newest published day; None where there is no champion."""
        champion = self._registry.alias(CHAMPION)
        if champion is None:
            return None
        newest = _newest_day(self._place.storage())
        if newest is None or newest[0] < champion.tags["genco.ds"]:
            newest = champion.tags["genco.ds"], attempt_of(champion.bundle).rsplit("=", 1)[-1]
        return Source(champion, *newest)

    def load(self, source: Source) -> Serving:
        """The verified policy of a source, warm; Refused where its bundle is not as registered."""
        day = self._place.model_copy(update={"ds": source.ds, "attempt": source.attempt})
        bundle = self._verified(source.version)
        policy = bundle.policy(todays_elements(day, bundle), todays_rules(day, bundle))
        warm(policy)
        return Serving(
            source, f"{self._config.name}-v{source.version.number}", policy, self._clock()
        )

    def _verified(self, version: Version) -> Bundle:
        with self._place.scratch("serving") as scratch:
            folder = fetch_folder(self._place, version.bundle, scratch / "bundle")
            fault = self._fault(folder, version)
            if fault is not None:
                raise Refused(
                    f"version {version.number} is not served: {fault}; `genco doctor` says more, "
                    "`genco rollback` brings the version before it back"
                )
            try:
                return load_bundle(folder, intact=is_intact)
            except BadBundle as error:
                where = self._place.storage().locate(version.bundle)
                raise Refused(str(error).replace(str(folder), where)) from error

    def _fault(self, folder: Path, version: Version) -> str | None:
        """Why the bundle's manifest can't be relied on, None where it can."""
        if not (folder / "manifest.json").is_file():
            return "its bundle holds no manifest.json"
        storage = self._place.storage()
        manifest, signature = (folder / "manifest.json").read_bytes(), folder / SIGNATURE
        given = signature.read_bytes() if signature.is_file() else None
        judged = open_trust(storage, self._config.registry.trusted_keys).judge(manifest, given)
        if judged in (WRONG, UNKNOWN, ABSENT):
            return f"the signature over its manifest is {judged}"
        recorded = [
            entry["manifest"]
            for entry in Ledger(storage, self._config.name).entries()
            if entry["kind"] == REGISTERED and entry["version"] == version.number
        ]
        if hashlib.sha256(manifest).hexdigest() not in recorded:
            return "its manifest is not the one that the ledger recorded when it was registered"
        return None


def warm(policy: ServingPolicy, most: int = WARMED) -> None:
    """Products are read before they are asked for; those that can't be shown are passed over."""
    rng = np.random.default_rng(0)
    for product in sorted(set(policy.elements.product_id.astype(str).tolist()))[:most]:
        try:
            policy.choose(product, {}, rng)
        except ValueError:
            continue


def _newest_day(storage: Storage) -> tuple[str, str] | None:
    """(ds, attempt) of the newest day whose policy was published."""
    listed = [stored.path for stored in storage.listing("manifests")]
    for path in sorted((path for path in listed if path.startswith("manifests/ds=")), reverse=True):
        manifest: dict[str, Any] = json.loads(storage.read(path))
        if "policy" in manifest and manifest.get("run"):
            return manifest["ds"], manifest["run"]["attempt"]
    return None
