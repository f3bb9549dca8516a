"""Where a day's reward model begins: from nothing, or where the champion's ended.

The champion is looked up once, when ingest names the attempt, and its manifest's digest is part of
that name; training, another attempt's repeat and `genco reproduce` read what was written down then.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from components.day import Day, Frozen, to_json
from components.errors import Refused

if TYPE_CHECKING:
    from model.reward.reward import Reward

STAGE = "ingest_logs"  # the stage that writes it down


class Beginning(Frozen):
    """Whose champion is begun from: the model's name and its registry."""

    name: str
    tracking_uri: str


class Start(Frozen):
    """A version, its bundle below the store, and the sha256 of the bundle's manifest."""

    version: int
    bundle: str
    manifest: str


def champion_start(day: Day, asked: Beginning | None) -> Start | None:
    """The champion of now; None where none is asked for or none serves."""
    if asked is None:
        return None
    from components.adapters.registry import CHAMPION, Registry

    registry = Registry(asked.tracking_uri, asked.name, Path(day.work) / "mlartifacts")
    version = registry.alias(CHAMPION)
    if version is None:
        return None
    return Start(
        version=version.number, bundle=version.bundle, manifest=_manifest(day, version.bundle)
    )


def write_start(day: Day, start: Start) -> None:
    """Kept beside what ingest left of the attempt."""
    day.storage().write(day.path(STAGE, "start.json"), to_json(start.model_dump()))


def read_start(day: Day) -> Start | None:
    """What the attempt begins from; None is nothing."""
    storage, path = day.storage(), day.path(STAGE, "start.json")
    return Start.model_validate_json(storage.read(path)) if storage.exists(path) else None


def start_reward(day: Day, start: Start, held_out: set[str]) -> tuple["Reward | None", str]:
    """(the reward model to begin from, what is said of it); None, with the reason, where it learned
    from one of the `held_out` days or can't be read. Refused where its bundle is another one."""
    from components.adapters.registry import Version
    from components.evaluate_candidate.incumbent import read_champion

    named = f"version {start.version}"
    if _manifest(day, start.bundle) != start.manifest:
        raise Refused(
            f"the bundle of {named}, from which this attempt begins, is not the one it was when the "
            f"attempt was named (manifest sha256 expected {start.manifest[:12]}...); restore it, or "
            "run the day again with train_reward.start: nothing"
        )
    champion = read_champion(day, Version(start.version, start.bundle, {}))
    if champion.bundle is None:
        return None, f"nothing: {named} cannot be read ({champion.unreadable})"
    known = sorted(held_out & set(champion.learned))
    if known:
        return None, f"nothing: {named} learned from days that judge ({', '.join(known[:3])})"
    return champion.bundle.reward, named


def copy_start(place: Day, day: Day, told: object) -> None:
    """The start that a version's manifest names is there for an attempt in another store."""
    from components.training_set import fetch_folder, upload_folder

    start = Start.model_validate(told)
    with day.scratch("start") as scratch:
        upload_folder(day, fetch_folder(place, start.bundle, scratch), start.bundle)
    write_start(day, start)


def _manifest(day: Day, bundle: str) -> str:
    content = day.storage().read(f"{bundle}/manifest.json")
    return hashlib.sha256(content).hexdigest()
