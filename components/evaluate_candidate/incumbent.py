"""The champion that a candidate is compared with, loaded from its own bundle."""

import json
from dataclasses import dataclass
from pathlib import Path

from components.adapters.ledger import Ledger
from components.adapters.registry import CHAMPION, Version
from components.adapters.signing import is_intact
from components.day import Day
from components.errors import GencoError
from components.promotion import REBASELINED
from components.register_version.stage import open_registry
from components.training_set import fetch_folder
from model.bundle import Bundle, load_bundle


@dataclass(frozen=True)
class Champion:
    """The serving version, its bundle, or why that could not be read on today's rows.

    learned: the days that it learned from.
    """

    version: Version
    bundle: Bundle | None
    unreadable: str | None = None
    learned: tuple[str, ...] = ()


def find_champion(
    day: Day, name: str, tracking_uri: str, slots: tuple[str, ...], context: dict[str, str]
) -> Champion | None:
    """The champion, or None where no version was promoted yet.

    One that can't be read on today's rows is None too where a person has said so, with a reason
    (`genco run --rebaseline`, in the ledger): the log is then what is compared with.
    """
    version = open_registry(day, name, tracking_uri).alias(CHAMPION)
    if version is None:
        return None
    champion = fitting(read_champion(day, version), slots, context)
    if champion.bundle is None and _rebaselined(day, name, version.number):
        return None
    return champion


def _rebaselined(day: Day, name: str, champion: int) -> bool:
    entries = Ledger(day.storage(), name).entries()
    return any(e["kind"] == REBASELINED and e["champion"] == champion for e in entries)


def fitting(champion: Champion, slots: tuple[str, ...], context: dict[str, str]) -> Champion:
    """The champion, unreadable where its slots or context are not today's."""
    bundle, version = champion.bundle, champion.version
    if bundle is None or (bundle.slots == slots and bundle.context == context):
        return champion
    return Champion(
        version,
        None,
        f"it knows slots {', '.join(bundle.slots)} and context {', '.join(bundle.context)}, "
        f"today has {', '.join(slots)} and {', '.join(context)}",
    )


def read_champion(day: Day, version: Version) -> Champion:
    """The version with its verified bundle, or with the reason why it can't be read."""
    try:
        folder = fetch_folder(
            day, version.bundle, Path(day.work) / "champion" / str(version.number)
        )
        return Champion(version, load_bundle(folder, intact=is_intact), learned=_learned(folder))
    except (GencoError, ValueError, KeyError, OSError, json.JSONDecodeError) as error:
        return Champion(version, None, str(error))


def _learned(folder: Path) -> tuple[str, ...]:
    """The days of the bundle's training rows: of its own evidence, else its whole window."""
    evidence, manifest = folder / "evidence.json", folder / "manifest.json"
    if evidence.is_file():
        told = json.loads(evidence.read_text()).get("policy_value") or {}
        if told.get("learned_days"):
            return tuple(told["learned_days"])
    return tuple(json.loads(manifest.read_text()).get("inputs", ())) if manifest.is_file() else ()
