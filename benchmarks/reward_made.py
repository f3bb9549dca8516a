"""Made rows, elements and weights that the reward model's step is timed and checked on."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs
from model.reward.network import Batch, RewardNetwork
from model.reward.rows import Rows
from model.reward.text import Grams

SLOTS, CONTEXT, DENSE, GRAMS, BUCKETS = 4, 24, 16, 12, 16384
CONFIG = RewardConfig(buckets=BUCKETS, dispersion=1.0)


class Sizes(SimpleNamespace):
    """What a network asks of an encoding."""

    context_width, dense_width, smooth_width, history_width = CONTEXT, DENSE, 0, -1
    buckets = BUCKETS


def network_of(elements: int, products: int, seed: int) -> RewardNetwork:
    """Weights at their start, none at 0."""
    sizes: Any = Sizes(
        slots=range(SLOTS), products=range(products), shared=range(64), own=range(elements)
    )
    network = RewardNetwork(sizes, CONFIG)
    chance = torch.Generator().manual_seed(seed)
    network.start(CONFIG, chance)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=chance))
    return network


def inputs_of(elements: int, seed: int) -> ElementInputs:
    """Of every element some n-grams, a dense block and an id."""
    chance = torch.Generator().manual_seed(seed)
    held = elements * GRAMS
    grams = Grams(
        torch.randint(BUCKETS, (held,), generator=chance),
        torch.rand(held, generator=chance) / GRAMS**0.5,
        torch.arange(elements + 1) * GRAMS,
    )
    return ElementInputs(
        grams,
        torch.randn(elements, DENSE, generator=chance) / DENSE**0.5,
        torch.zeros(elements, 0),
        torch.randint(65, (elements,), generator=chance),
        torch.arange(1, elements + 1),
        torch.arange(elements) % SLOTS,
    )


def rows_of(size: int, elements: int, products: int, seed: int, device: str) -> Rows:
    """Rows of products that own an even share of the elements each; a slot in ten is absent."""
    chance = torch.Generator(device).manual_seed(seed)

    def whole(top: int, *shape: int) -> Tensor:
        return torch.randint(top, shape, generator=chance, device=device)

    product = whole(products, size)
    each = elements // products // SLOTS
    slots = torch.arange(SLOTS, device=device)
    element = (product[:, None] * each + whole(each, size, SLOTS)) * SLOTS + slots
    element = torch.where(whole(10, size, SLOTS) == 0, -1, element)
    context = (whole(4, size, CONTEXT) == 0).float()
    ones = torch.ones(size, device=device)
    clicks = (whole(30, size) == 0).float()
    bought = clicks * (whole(5, size) == 0)
    weight = 1 + 0.9 * (2 * whole(2, size, CONFIG.members) - 1.0)
    weight[:, 0] = 1
    batch = Batch(element, product + 1, context, torch.zeros(size, SLOTS, 0, device=device))
    return Rows(
        batch, product, clicks, ones, bought, weight, ones.clone(), ones.clone(), ones.clone(),
        torch.zeros(size, device=device),
    )  # fmt: skip


def moved(part: Any, device: str, kind: torch.dtype | None = None) -> Any:
    """A dataclass of tensors elsewhere, floating numbers as `kind`."""
    if isinstance(part, Tensor):
        return part.to(device, kind) if kind and part.is_floating_point() else part.to(device)
    return type(part)(**{name: moved(value, device, kind) for name, value in vars(part).items()})


def held_bytes(part: Any) -> float:
    """Bytes of a dataclass' tensors."""
    if isinstance(part, Tensor):
        return float(part.numel() * part.element_size())
    return sum(held_bytes(value) for value in vars(part).values())
