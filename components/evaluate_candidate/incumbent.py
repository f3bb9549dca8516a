"""The champion that a candidate is compared with, loaded from its own bundle."""

import json
from dataclasses import dataclass
from pathlib import Path

from components.adapters.registry import CHAMPION, Version
from components.day import Day
from components.errors import GencoError
from components.register_version.stage import open_registry
from components.training_set import fetch_folder
from model.bundle import Bundle, load_bundle


@dataclass(frozen=True)
class Champion:
    """The serving version, its bundle, or why that could not be read on today's rows."""

    version: Version
    bundle: Bundle | None
    unreadable: str | None = None


def find_champion(
    day: Day, name: str, tracking_uri: str, slots: tuple[str, ...], context: dict[str, str]
) -> Champion | None:
    """The champion, or None where no version was promoted yet."""
    version = open_registry(day, name, tracking_uri).alias(CHAMPION)
    if version is None:
        return None
    champion = read_champion(day, version)
    bundle = champion.bundle
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
        return Champion(version, load_bundle(folder))
    except (GencoError, ValueError, KeyError, OSError, json.JSONDecodeError) as error:
        return Champion(version, None, str(error))
