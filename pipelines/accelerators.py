"""Whether a training will find the GPU that it asks for, said before anything is read.

Here torch knows. On a cluster the nodes are asked where they may be; a pool that grows on demand
has none while nobody waits, so what no node offers is told and does not stop the run.
"""

from collections.abc import Sequence

from components.adapters.nodes import Node, schedulable_nodes
from components.devices import choose_device
from components.doctor.checks import Checkup
from components.errors import Failed, GencoError, WrongUse
from pipelines.config import Config, Training
from pipelines.placement import Step, placed
from pipelines.stages import STAGES

CHECK = "accelerators"


def trainings(config: Config) -> dict[str, Training]:
    """Stage -> its settings, of the stages that may use a GPU."""
    return {"train_reward": config.train_reward, "train_generator": config.train_generator}


def check_here(config: Config, until: str | None = None) -> None:
    """Failed where a training before `until` asks for a GPU that this machine does not have;
    WrongUse where it asks for more processes than there are GPUs."""
    last = STAGES.index(until) if until is not None else len(STAGES)
    for stage, asked in trainings(config).items():
        if asked.device == "cuda" and STAGES.index(stage) <= last:
            try:
                choose_device(asked.device, asked.processes)
            except GencoError as error:
                raise type(error)(f"{stage}: {error}") from error


def check_pods(config: Config) -> None:
    """WrongUse where a training is to use a GPU and its pod gets none."""
    pods = config.pods()
    for stage, asked in trainings(config).items():
        if asked.device == "cuda" and not placed(stage, pods).accelerators:
            raise WrongUse(
                f"{stage}.device is cuda, but cluster.steps gives its pod no accelerator, so it "
                f"would fail when training starts; set cluster.steps.{stage}.accelerators: 1, or "
                f"{stage}.device: auto"
            )


def wanted(config: Config) -> dict[str, Step]:
    """Stage -> its pod's settings, of the stages whose pods ask for accelerators."""
    pods = config.pods()
    every = {stage: placed(stage, pods) for stage in STAGES}
    return {stage: step for stage, step in every.items() if step.accelerators}


def missing(config: Config, nodes: Sequence[Node]) -> list[str]:
    """A sentence for each stage whose accelerators no single node offers."""
    found = []
    for stage, step in wanted(config).items():
        kind = step.accelerator or ""
        fitting = [node for node in nodes if step.node_selector.items() <= node.labels.items()]
        most = max((_count(node, kind) for node in fitting), default=0)
        if most < (step.accelerators or 0):
            where = " ".join(f"{key}={value}" for key, value in step.node_selector.items())
            among = f"{len(fitting)} nodes with {where}" if where else f"{len(fitting)} nodes"
            found.append(
                f"no node offers the {step.accelerators} {kind} that {stage} asks for (the most of "
                f"{among} is {most}), so it will wait for one; unless a pool grows on demand add a "
                f"node, or train on the CPU by cluster.steps.{stage}.accelerators: 0"
            )
    return found


def _count(node: Node, kind: str) -> int:
    told = node.offers.get(kind, "0")
    return int(told) if told.isdigit() else 0


def told_at_submit(config: Config) -> list[str]:
    """What to say of accelerators when a day is submitted; nothing where all is well."""
    if not wanted(config):
        return []
    try:
        return missing(config, schedulable_nodes())
    except Failed as error:
        stages = ", ".join(wanted(config))
        return [f"whether a node has the accelerator of {stages} could not be asked ({error})"]


def examine(config: Config) -> list[Checkup]:
    """The doctor's word: of the cluster where the config names one, else of this machine."""
    if config.cluster.host is None:
        check_here(config)
        return [Checkup(CHECK, "well", _devices(config))]
    check_pods(config)
    said = told_at_submit(config)
    if said:
        return [Checkup(CHECK, "note", sentence) for sentence in said]
    stages = ", ".join(wanted(config)) or "no step"
    return [Checkup(CHECK, "well", f"{stages} asks for accelerators, and nodes offer them")]


def _devices(config: Config) -> str:
    told = [
        f"{stage} on {choose_device(asked.device, asked.processes)}"
        for stage, asked in trainings(config).items()
    ]
    return f"on this machine {' and '.join(told)}"
