"""A training run on disk: one safetensors file, replaced atomically, from which it goes on exactly.

The randomness of a step is a function of (seed, phase, step), so the number of steps done is the
whole state of the random generators.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as loaded
from safetensors.torch import save as saved
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from model.processes import Processes


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Writes the checkpoint beside its place, then moves it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".partial")
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(held, draft, metadata={"facts": json.dumps(dict(facts), sort_keys=True)})
    draft.replace(path)


def load(path: Path, digest: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """(tensors, facts) of a checkpoint of the same inputs, else None: training starts afresh."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {}).get("facts", "{}"))
            if facts.get("digest") != digest:
                return None
            return {name: stored.get_tensor(name) for name in stored.keys()}, facts  # noqa: SIM118
    except SafetensorError:
        return None


def found(
    path: Path | None, digest: str, processes: Processes
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """As `load`; what lies on the first process' disk is what every process gets."""
    stored = None if path is None or processes.rank else load(path, digest)
    if processes.count == 1:
        return stored
    facts = processes.told(None if stored is None else json.dumps(stored[1]).encode())
    tensors = processes.told(None if stored is None else saved(stored[0]))
    if facts is None or tensors is None:
        return None
    return loaded(tensors), json.loads(facts)


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments and step counts by parameter number and name."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{number}.{name}": value
        for number, moments in state.items()
        for name, value in moments.items()
    }


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimiser_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def network_tensors(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in network.state_dict().items()}


def restore_network(prefix: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = {
        key.removeprefix(f"{prefix}."): tensor
        for key, tensor in tensors.items()
        if key.startswith(f"{prefix}.")
    }
    network.load_state_dict(own)
