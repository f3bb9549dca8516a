"""Where each step's pod may run and what it may take, as the config says beside our defaults."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from components.day import Frozen
from pipelines.stages import STAGES

EVERY = "every"
GPU = "nvidia.com/gpu"


class Toleration(Frozen):
    """A taint that a pod may run beside, as Kubernetes spells it."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Step(Frozen):
    """Limits of a step's pod, and its nodes; what is None or empty is as for every step.

    hours: after which the pod is ended. accelerators: how many of kind `accelerator`, 0 for none.
    """

    cpu: Annotated[str, Field(pattern=r"^\d+(\.\d+|m)?$")] | None = None
    memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)?[KMGT]i?$")] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    accelerator: str | None = None
    accelerators: Annotated[int, Field(ge=0)] | None = None
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()


DEFAULTS: Mapping[str, Step] = {
    EVERY: Step(cpu="2", memory="8G", hours=2, accelerator=GPU, accelerators=0),
    "ingest_logs": Step(hours=4),
    "materialize_features": Step(hours=4),
    "train_reward": Step(cpu="4", memory="16G", hours=12),
    "train_generator": Step(cpu="8", memory="32G", hours=12, accelerators=1),
    "evaluate_candidate": Step(cpu="4", memory="16G", hours=6),
    "notify": Step(cpu="1", memory="2G", hours=0.25),
}


def check_names(steps: Mapping[str, Step]) -> None:
    """ValueError where a name is no stage's."""
    strangers = sorted(set(steps) - {EVERY, *STAGES})
    if strangers:
        raise ValueError(
            f"cluster.steps names no stage: {', '.join(strangers)}; expected {EVERY}, "
            f"{', '.join(STAGES)}"
        )


def placed(stage: str, steps: Mapping[str, Step]) -> Step:
    """The stage's settings: its own before those of every step, the config's before ours."""
    found: dict[str, object] = {}
    for told in (DEFAULTS.get(EVERY), DEFAULTS.get(stage), steps.get(EVERY), steps.get(stage)):
        if told is not None:
            found |= {name: v for name, v in dict(told).items() if v not in (None, {}, ())}
    return Step.model_validate(found)


def for_processes(steps: Mapping[str, Step], processes: Mapping[str, int]) -> dict[str, Step]:
    """The same settings, where a stage that gets accelerators gets one for each of its processes.

    A number that the config itself says is left as it is.
    """
    found = dict(steps)
    for stage, number in processes.items():
        own = found.get(stage, Step())
        if own.accelerators is None and placed(stage, steps).accelerators:
            found[stage] = own.model_copy(update={"accelerators": number})
    return found
