"""The one door to OpenLineage: a stage's event to wherever the client is configured to send it.

The client reads its own environment: OPENLINEAGE_URL for HTTP, or
OPENLINEAGE__TRANSPORT={"type": "file", "log_file_path": ..., "append": true} for a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

PRODUCER = "https://github.com/genco"
Dataset = tuple[str, str]


@dataclass(frozen=True)
class Event:
    """What became of a stage: its own run and the day's (UUIDs), datasets as (namespace, name).

    job and parent are names within the namespace; said is the error of a FAIL.
    """

    state: Literal["START", "COMPLETE", "FAIL"]
    at: datetime
    namespace: str
    job: str
    run: str
    parent: str
    parent_run: str
    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]
    said: str = ""


def is_configured(surroundings: Mapping[str, str]) -> bool:
    """Whether an OpenLineage client would know where to send events."""
    if surroundings.get("OPENLINEAGE_DISABLED", "").lower() == "true":
        return False
    names = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
    return any(value and name.startswith(names) for name, value in surroundings.items())


@lru_cache(maxsize=1)
def _client() -> Any:
    from openlineage.client import OpenLineageClient

    return OpenLineageClient()


def emit(event: Event) -> None:
    """The event is sent; whatever the client raises where it can't be."""
    from openlineage.client.event_v2 import (
        InputDataset,
        Job,
        OutputDataset,
        Run,
        RunEvent,
        RunState,
    )
    from openlineage.client.facet_v2 import error_message_run, parent_run

    facets: dict[str, Any] = {
        "parent": parent_run.ParentRunFacet(
            run=parent_run.Run(runId=event.parent_run),
            job=parent_run.Job(namespace=event.namespace, name=event.parent),
        )
    }
    if event.said:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(event.said, "python")
    told = RunEvent(
        eventTime=event.at.isoformat(),
        producer=PRODUCER,
        run=Run(event.run, facets=facets),
        job=Job(event.namespace, event.job),
        eventType=RunState[event.state],
        inputs=[InputDataset(*one) for one in event.inputs],
        outputs=[OutputDataset(*one) for one in event.outputs],
    )
    _client().emit(told)
