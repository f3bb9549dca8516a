"""`genco approve`, `reject`, `promote`, `rollback`, `audit`: people's decisions on versions."""

import json
from pathlib import Path
from typing import Any

from components.adapters.clock import now
from components.adapters.identity import Person
from components.adapters.ledger import Ledger
from components.adapters.registry import Version
from components.adapters.signing import open_trust
from components.adapters.storage import open_storage
from components.day import Day
from components.errors import GencoError
from components.notify.message import Message
from components.notify.stage import send as send_message
from components.plan import day_of, settings_of
from components.promotion import Desk, attempt_of
from components.publish_policy.stage import Settings as PublishSettings
from components.publish_policy.stage import publish_champion
from components.register_version.sealed import check_sealed
from components.register_version.stage import open_registry
from pipelines.config import Config, load_config
from pipelines.plan import notify_settings
from pipelines.running import absolute, acting_person, make_plan, tracking_uri, work_folder


def open_desk(file: Path, who: str | None, signed_in: bool = False) -> Desk:
    """The desk of the config's model, for one person; `signed_in` where the inbox vouches."""
    return _desk(absolute(load_config(file)), who, signed_in)


def _desk(config: Config, who: str | None, signed_in: bool = False) -> Desk:
    storage = open_storage(config.store, config.endpoint_url)
    work = str(work_folder(config))
    place = Day(ds="", store=config.store, endpoint=config.endpoint_url, work=work)
    registry = open_registry(place, config.name, tracking_uri(config))
    acting = Person(who, "inbox") if signed_in and who else acting_person(config, who)
    ledger = Ledger(storage, config.name)

    def unsound(version: Version) -> str | None:
        trust = open_trust(storage, config.registry.trusted_keys)
        sealed = check_sealed(place, version.bundle, trust)
        return None if sealed.is_sound else sealed.fault or f"its signature is {sealed.signature}"

    person = (acting.name, now, acting.kind, acting.unproven)
    return Desk(storage, registry, ledger, *person, unsound)


def promote(file: Path, who: str | None, number: int) -> dict[str, Any]:
    """The ledger's entry; the new champion's policy is published for its day."""
    config = absolute(load_config(file))
    entry = _desk(config, who).promote(number)
    _publish(config, number)
    return _announce(config, "PROMOTED", entry, "genco rollback --config FILE --reason ...")


def rollback(file: Path, who: str | None, to: str, reason: str) -> dict[str, Any]:
    """The ledger's entry; the restored champion's policy is published again."""
    config = absolute(load_config(file))
    entry = _desk(config, who).rollback(to, reason)
    _publish(config, entry["version"])
    return _announce(config, "ROLLED BACK", entry, "genco audit list --config FILE")


def _announce(
    config: Config, status: str, entry: dict[str, Any], next_command: str
) -> dict[str, Any]:
    """The entry; `untold` says why its message was not sent, which undoes nothing."""
    settings = notify_settings(config)
    cause = f"Version {entry['version']} is champion since {entry['at']}, by {entry['by']}"
    reason = f": {entry['reason']}" if entry.get("reason") else ""
    message = Message(
        config.name, entry["at"][:10], status, f"{cause}{reason}.", next_command, entry["version"]
    )
    try:
        send_message(settings, message)
    except GencoError as error:
        return {**entry, "untold": str(error)}
    return entry


def _publish(config: Config, number: int) -> None:
    plan = make_plan(config)
    place = json.loads(plan)["place"]
    registry = open_registry(
        Day(ds="", **place), config.name, json.loads(plan)["publish_policy"]["tracking_uri"]
    )
    version = registry.get(number)
    assert version is not None, "a version that was just crowned"
    ds = version.tags["genco.ds"]
    attempt = attempt_of(version.bundle).rsplit("=", 1)[-1]
    day = day_of(plan, ds).model_copy(update={"attempt": attempt})
    publish_champion(day, settings_of(plan, "publish_policy", PublishSettings))
