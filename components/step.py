"""A stage as a step of the graph: tried again where that can help, and its end left in the store.

Kubeflow repeats a pod whatever stopped it. So causes are told apart here (ADR 25): what Failed (a
service, a bucket) or lost a race is waited for and tried again in the same pod, GENCO_PATIENCE_S
seconds apart; what was refused, asked wrongly or is a bug ends at once. What ended the step is kept
for notify, since the pod's own status says only that it failed.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel

from components.day import Day, Frozen, to_json
from components.errors import Conflict, Failed, GencoError, Refused
from components.plan import settings_of
from components.watching import log, observed, run_id

S = TypeVar("S", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)
PATIENCE = "GENCO_PATIENCE_S"
FIRST = "ingest_logs"  # what it refuses fails no pod (components/refusals.py)


class Word(Frozen):
    """What ended a step: the run and stage, whether a rule refused it, and the sentence."""

    run: str
    stage: str
    refused: bool
    said: str

    def blocks(self, state: str) -> bool:
        """Whether the day of a run that ended in this state was refused by a rule."""
        return self.refused and (state != "SUCCEEDED" or self.stage == FIRST)


def step(stage: str, day: Day, plan: str, kind: type[S], run: Callable[..., R], *more: Any) -> R:
    """The stage's result by its part of the plan; where it ends in an error notify can read why."""
    try:
        settings = settings_of(plan, stage, kind)
        return patiently(lambda: observed(stage, day, lambda: run(day, settings, *more)), waits())
    except Exception as error:
        leave_word(day, stage, error)
        raise


def waits() -> list[float]:
    """Seconds between tries as the graph sets them; none elsewhere."""
    return [float(wait) for wait in os.environ.get(PATIENCE, "").split()]


def patiently(
    work: Callable[[], R], pauses: list[float], sleep: Callable[[float], None] = time.sleep
) -> R:
    """What `work` gives; after a Failed or a Conflict it is tried once more for each pause."""
    for pause in pauses:
        try:
            return work()
        except (Failed, Conflict) as error:
            log("tried again", seconds=pause, error=str(error))
            print(f"genco: {error}; trying again in {pause:g} s", flush=True)
            sleep(pause)
    return work()


def word_path(ds: str) -> str:
    return f"failures/ds={ds}.json"


def leave_word(day: Day, stage: str, error: Exception) -> None:
    """The cause is in the store, where that can be written to."""
    refused = isinstance(error, Refused) and not isinstance(error, Conflict)
    said = str(error) if isinstance(error, GencoError) else f"{type(error).__name__}: {error}"
    word = Word(run=run_id(), stage=stage, refused=refused, said=said)
    with suppress(GencoError):
        day.storage().write(word_path(day.ds), to_json(word.model_dump()))


def read_word(day: Day, run: str | None = None) -> Word | None:
    """What ended a step of this very run (or of the one named), None where none left word."""
    with suppress(GencoError, ValueError):
        storage = day.storage()
        if storage.exists(word_path(day.ds)):
            word = Word.model_validate_json(storage.read(word_path(day.ds)))
            return word if word.run == (run_id() if run is None else run) else None
    return None
