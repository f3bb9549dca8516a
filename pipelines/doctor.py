"""`genco doctor`: the facts behind components/doctor/checks.py, read from the world."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from components.adapters.clock import now
from components.adapters.ledger import Ledger
from components.adapters.registry import CHAMPION, ENTRY, Registry
from components.adapters.signing import open_trust
from components.adapters.storage import Storage, open_storage
from components.day import Day
from components.doctor import checks
from components.doctor.checks import Checkup, Registered
from components.errors import GencoError
from components.register_version.sealed import check_sealed
from components.register_version.stage import REGISTERED, open_registry
from pipelines import accelerators
from pipelines.config import Config, load_config
from pipelines.environment import ROOT
from pipelines.plan import judged_level, trusted_keys
from pipelines.running import absolute, tracking_uri, work_folder

PROBE = "doctor/probe"


def examine(file: Path) -> list[Checkup]:
    """Every check's answer; a check that could not be made is wrong and says why."""
    config = absolute(load_config(file))
    found = checks.packages(pinned(ROOT / "constraints.txt"), installed())
    found += _try("settings", lambda: _settings(config))
    storage = open_storage(config.store, config.endpoint_url)
    found += _try("store", lambda: _store(storage))
    found += _try("logs", lambda: _logs(config))
    found += _try("catalog", lambda: _catalog(config))
    ledger = Ledger(storage, config.name)
    found += _try("ledger", lambda: checks.ledger_head(ledger.entries(), ledger.lag()))
    found += _try("registry", lambda: _registry(config, storage, ledger))
    found += _try(accelerators.CHECK, lambda: accelerators.examine(config))
    found += _try("cluster", lambda: _cluster(config))
    return found + _try("schedules", lambda: _schedules(config, file.parent))


def _logs(config: Config) -> list[Checkup]:
    """The newest day of logs within the window, looked for from today backwards."""
    storage = open_storage(config.logs, config.endpoint_url)
    today = now().date()
    for back in range(config.window_days + 1):
        ds = (today - timedelta(days=back)).isoformat()
        if any(storage.listing(f"{kind}/dt={ds}") for kind in ("impressions", "aggregates")):
            return [checks.newest("logs", storage.root, ds, back)]
    return [checks.newest("logs", storage.root, None, config.window_days)]


def _catalog(config: Config) -> list[Checkup]:
    storage = open_storage(config.catalog, config.endpoint_url)
    if storage.listing("elements"):
        return [Checkup("catalog", "well", f"{storage.root} can be read and has elements")]
    said = f"{storage.root} holds no elements/dt=.../; is `catalog` right, was a snapshot written?"
    return [Checkup("catalog", "wrong", said)]


def _cluster(config: Config) -> list[Checkup]:
    """Whether Kubeflow Pipelines answers us, where the config names one."""
    if config.cluster.host is None:
        return []
    from pipelines.cluster import open_cluster

    open_cluster(config.cluster).recurring_runs()
    return [Checkup("cluster", "well", f"{config.cluster.host} answers and knows us")]


def _schedules(config: Config, beside: Path) -> list[Checkup]:
    """Recurring runs against their file, where the config names one."""
    if config.cluster.schedules is None:
        return []
    from pipelines import scheduling

    named = Path(config.cluster.schedules)
    found = scheduling.plan(named if named.is_absolute() else beside / named)
    return checks.schedules([(one.doing, one.name, one.why) for one in found], str(named))


def is_clean(found: list[Checkup]) -> bool:
    """Whether nothing is wrong; notes are not."""
    return all(checkup.status != "wrong" for checkup in found)


def pinned(file: Path) -> dict[str, str]:
    """name -> version of a constraints file; empty where there is none."""
    lines = file.read_text().splitlines() if file.is_file() else []
    pairs = [line.split(";")[0].strip().split("==") for line in lines if "==" in line]
    return {name.split("[")[0].strip().lower(): version.strip() for name, version in pairs}


def installed() -> dict[str, str]:
    """name -> version of this environment, local build labels (+cpu) left out."""
    return {d.metadata["Name"].lower(): d.version.split("+")[0] for d in metadata.distributions()}


def _try(check: str, look: Callable[[], list[Checkup]]) -> list[Checkup]:
    try:
        return look()
    except GencoError as error:
        return [Checkup(check, "wrong", str(error))]


def _settings(config: Config) -> list[Checkup]:
    judged_level(config)
    open_trust(open_storage(config.store, config.endpoint_url), trusted_keys(config))
    return [Checkup("settings", "well", f"the config of {config.name} and its limits are valid")]


def _store(storage: Storage) -> list[Checkup]:
    storage.write(PROBE, b"written by genco doctor\n")
    storage.read(PROBE)
    return [Checkup("store", "well", f"{storage.root} can be written and read")]


def _registry(config: Config, storage: Storage, ledger: Ledger) -> list[Checkup]:
    place = Day(
        ds="", store=config.store, endpoint=config.endpoint_url, work=str(work_folder(config))
    )
    registry = open_registry(place, config.name, tracking_uri(config))
    versions = [Registered(v.number, v.tags.get(ENTRY)) for v in registry.versions()]
    entries = ledger.entries()
    found = checks.aliases(registry.aliases(), entries, config.name)
    found += checks.registered(versions, entries)
    return found + _champion(config, place, registry, entries)


def _champion(
    config: Config, place: Day, registry: Registry, entries: list[dict[str, Any]]
) -> list[Checkup]:
    champion = registry.alias(CHAMPION)
    if champion is None:
        return [Checkup("bundle", "note", "there is no champion yet, so no bundle to look at")]
    storage = place.storage()
    trust = open_trust(storage, trusted_keys(config))
    sealed = check_sealed(place, champion.bundle, trust)
    recorded = [
        e["manifest"]
        for e in entries
        if e["kind"] == REGISTERED and e["version"] == champion.number
    ]
    now = ""
    if "manifest.json" in sealed.names:
        now = hashlib.sha256(storage.read(f"{champion.bundle}/manifest.json")).hexdigest()
    same = not recorded or recorded[-1] == now
    return checks.bundle(champion.number, sealed.fault, sealed.signature, sealed.is_sound, same)
