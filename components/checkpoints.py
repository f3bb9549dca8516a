"""Where a training's checkpoint lies: on this machine, or in the store too, for any machine."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.day import Day

Kept = Literal["work", "store"]


@dataclass(frozen=True)
class Checkpoint:
    """The file to go on from, what is called after each writing, and at the end of the training."""

    file: Path
    saved: Callable[[Path], None] | None = None
    over: Callable[[], None] = lambda: None


def checkpoint_of(day: Day, stage: str, kept: Kept, first: bool) -> Checkpoint:
    """The attempt's checkpoint; of a kept one in the store the `first` process has a copy.

    An object is replaced as a whole, so what lies in the store is always a complete one. When the
    training is over it is emptied.
    """
    file = Path(day.work) / "checkpoints" / f"{day.attempt}-{stage}"
    if kept == "work":
        return Checkpoint(file)
    storage, path = day.storage(), day.path(stage, "checkpoint")
    if first and storage.exists(path):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.fetched")
        draft.write_bytes(storage.read(path))
        os.replace(draft, file)

    def over() -> None:
        if storage.exists(path):
            storage.write(path, b"")

    return Checkpoint(file, lambda written: storage.upload(written, path), over)
