# pyright: basic, reportPrivateImportUsage=false
"""Adam with the prior's gradient in the same pass; moments lie in a torch optimiser's state."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from model.reward.config import RewardConfig
from model.reward.fused import runs
from model.reward.network import RewardNetwork, factor_scale

FIRST, SECOND, LEAST = 0.9, 0.98, 1e-8


@dataclass(frozen=True, eq=False)
class Prior:
    """Precisions of a weight's columns around its anchor: below cut, below pair_end, the rest."""

    width: int
    cut: int
    pair_end: int
    term: float
    pair: float
    context: float
    anchor: Tensor | None


def priors(network: RewardNetwork, config: RewardConfig, events: float) -> dict[str, Prior]:
    """The prior of each weight, as in `RewardNetwork.penalty`, on the scale of the loss a click."""
    m, cut = network.members, network.members * network.heads
    end = cut + m * network.rank
    pair = 1 / (factor_scale(config) ** 2 * events)
    context = 1 / (config.scale_context_element**2 * events)
    found = {}
    for name, weight in network.named_parameters():
        width = weight.shape[-1]
        scale = {**network.scales(config), "mixing": 1.0}.get(name)
        if scale is None:
            found[name] = Prior(width, width, width, 0.0, 0.0, 0.0, None)
            continue
        wide = weight.dim() == 2 and width > cut
        anchor = network.get_buffer(f"anchor_{name}")
        ends = (cut, end) if wide else (width, width)
        term = 1 / (scale**2 * events)
        found[name] = Prior(width, *ends, term, pair, context, anchor if anchor.dim() else None)
    return found


def moments(optimiser: Optimizer, weight: nn.Parameter) -> tuple[Tensor, Tensor, Tensor]:
    """(steps done, mean, mean square), at 0 where nothing was learned yet."""
    state = optimiser.state[weight]
    if not state:
        state["step"] = torch.zeros((), device=weight.device)
        state["exp_avg"] = torch.zeros_like(weight)
        state["exp_avg_sq"] = torch.zeros_like(weight)
    return state["step"], state["exp_avg"], state["exp_avg_sq"]


class Adam:
    """Moves weights against their gradients `to` and the priors'; by kernels: all in one launch."""

    def __init__(
        self, network: RewardNetwork, optimiser: Optimizer, found: dict[str, Prior],
        to: dict[str, Tensor], kernels: bool,
    ) -> None:  # fmt: skip
        self.optimiser, self.kernels = optimiser, kernels
        self.parts = [
            (weight, to[name], found[name]) for name, weight in network.named_parameters()
        ]
        self._told: _Told | None = None

    def step(self, rate: Tensor) -> None:
        """rate (), on the device."""
        held = [moments(self.optimiser, weight) for weight, _, _ in self.parts]
        torch._foreach_add_([done for done, _, _ in held], 1.0)
        if not self.kernels:
            for (weight, grad, prior), moved in zip(self.parts, held, strict=True):
                if weight.numel():
                    _plain(weight, grad, prior, rate, *moved)
            return
        if self._told is None:
            self._told = _told(self.parts, held)
        told = self._told
        runs.table_kernels().adam[(len(told.weight_of),)](
            told.places, told.sizes, told.precisions, told.weight_of, told.block_of, rate,
            held[0][0], BLOCK=runs.NUMBERS,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Told:
    """What the kernel reads of the weights; anchors are held, as it knows their addresses alone."""

    places: Tensor
    sizes: Tensor
    precisions: Tensor
    weight_of: Tensor
    block_of: Tensor
    anchors: list[Tensor | None]


def _told(
    parts: list[tuple[nn.Parameter, Tensor, Prior]], held: list[tuple[Tensor, Tensor, Tensor]]
) -> _Told:
    device = parts[0][0].device
    priors_of = [prior for _, _, prior in parts]
    anchors = [None if p.anchor is None else p.anchor.contiguous() for p in priors_of]
    places = [
        [0 if part is None else part.data_ptr() for part in (weight, grad, mean, square, anchor)]
        for (weight, grad, _), (_, mean, square), anchor in zip(parts, held, anchors, strict=True)
    ]
    assert not any(place % 16 for row in places for place in row), "torch aligns what it allocates"
    numbers = [weight.numel() for weight, _, _ in parts]
    sizes = [[n, p.width, p.cut, p.pair_end] for n, p in zip(numbers, priors_of, strict=True)]
    precisions = [[p.term, p.pair, p.context] for p in priors_of]
    blocks = torch.tensor([-(-n // runs.NUMBERS) for n in numbers])
    weight_of = torch.repeat_interleave(torch.arange(len(parts)), blocks)
    block_of = torch.arange(len(weight_of)) - (blocks.cumsum(0) - blocks)[weight_of]
    return _Told(
        torch.tensor(places, dtype=torch.int64, device=device),
        torch.tensor(sizes, dtype=torch.int64, device=device),
        torch.tensor(precisions, dtype=torch.float32, device=device),
        weight_of.int().to(device), block_of.int().to(device), anchors,
    )  # fmt: skip


def _plain(
    weight: Tensor, grad: Tensor, prior: Prior, rate: Tensor, done: Tensor, mean: Tensor,
    square: Tensor,
) -> None:  # fmt: skip
    shape = (-1, prior.width)
    off = weight.detach().reshape(shape).clone()
    if prior.anchor is not None:
        off -= prior.anchor.reshape(shape)
    off[:, : prior.cut] *= prior.term
    off[:, prior.cut : prior.pair_end] *= prior.pair
    off[:, prior.pair_end :] *= prior.context
    whole = grad + off.reshape(weight.shape)
    mean.mul_(FIRST).add_(whole, alpha=1 - FIRST)
    square.mul_(SECOND).addcmul_(whole, whole, value=1 - SECOND)
    under = square.sqrt() / (1 - SECOND**done).sqrt() + LEAST
    weight.detach().sub_(rate / (1 - FIRST**done) * mean / under)
