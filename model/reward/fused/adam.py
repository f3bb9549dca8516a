# pyright: basic
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


def step(
    optimiser: Optimizer, weight: nn.Parameter, grad: Tensor, prior: Prior, rate: Tensor, by: bool
) -> None:
    """Moves a weight against its gradient and the prior's; `by` the kernel. rate () on the device."""
    done, mean, square = moments(optimiser, weight)
    done += 1
    if not weight.numel():
        return
    if by:
        _kernel(weight, grad, mean, square, prior, rate, done)
        return
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


def _kernel(
    weight: Tensor, grad: Tensor, mean: Tensor, square: Tensor, prior: Prior, rate: Tensor,
    done: Tensor,
) -> None:  # fmt: skip
    numbers = weight.numel()
    anchor = weight if prior.anchor is None else prior.anchor
    runs.table_kernels().adam[(-(-numbers // runs.NUMBERS),)](
        weight.detach(), grad, mean, square, anchor.detach(), rate, done, numbers, prior.width,
        prior.cut, prior.pair_end, prior.term, prior.pair, prior.context,
        ANCHORED=prior.anchor is not None, BLOCK=runs.NUMBERS,
    )  # fmt: skip
