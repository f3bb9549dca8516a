"""Where a day's work lives in the store, and how a stage runs at most once for an attempt.

    manifests/ds=D.json                 the one door to what is published for D
    manifests/judged/ds=D.json          the attempt judged last, blocked or not
    days/ds=D/attempt=A/<stage>/...     everything an attempt wrote, complete or not

An attempt's name is a digest of what it reads, so the same inputs, config, code and seed lead
to the same folder and the same bytes: a re-run is free where nothing changed, and a run after a
kill takes up where the last complete stage ended.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from components.adapters.storage import Storage, open_storage


class Frozen(BaseModel):
    """A strict, immutable value: an unknown or mistyped field stops the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Day(Frozen):
    """A run's place: the day, the store, a scratch folder of this machine, the attempt."""

    ds: str
    store: str
    endpoint: str | None = None
    work: str
    attempt: str = ""

    def storage(self) -> Storage:
        return open_storage(self.store, self.endpoint)

    @contextmanager
    def scratch(self, prefix: str) -> Iterator[Path]:
        """A new folder of this machine for the block, below the work folder."""
        Path(self.work).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.work, prefix=f"{prefix}-") as folder:
            yield Path(folder)

    def path(self, stage: str, name: str = "") -> str:
        """Path of a stage's file below the store."""
        return f"{attempt_path(self.ds, self.attempt)}/{stage}" + (f"/{name}" if name else "")


def attempt_path(ds: str, attempt: str) -> str:
    return f"days/ds={ds}/attempt={attempt}"


def manifest_path(ds: str) -> str:
    return f"manifests/ds={ds}.json"


def judged_path(ds: str) -> str:
    """The newest judged attempt's manifest: the published one, or a blocked one beside it."""
    return f"manifests/judged/ds={ds}.json"


def to_json(value: Any) -> bytes:
    """Canonical JSON: sorted keys, so equal values are equal bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


R = TypeVar("R", bound=BaseModel)


def once(day: Day, stage: str, result: type[R], work: Callable[[], R], variant: str = "") -> R:
    """The stage's result: read back where this attempt completed it, else worked out and kept.

    The result is written last, so its presence says that every file before it is complete.
    `variant` names what the stage depends on beside the attempt (the champion compared with).
    """
    storage = day.storage()
    path = day.path(stage, f"result{variant}.json")
    if storage.exists(path):
        return result.model_validate_json(storage.read(path))
    value = work()
    storage.write(path, to_json(value.model_dump(mode="json")))
    return value
