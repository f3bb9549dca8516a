"""Four ways to turn a group's rewards into a gain to climb, behind one interface.

| method | gain of a sample | source |
|---|---|---|
| gradient | advantage in the group's deviations x log-probability | Shao et al. 2024 (GRPO) |
| leave_one_out | reward less the mean of the group's others x log-probability | Ahmadian et al. 2024 (RLOO) |
| clipped | advantage x ratio to the sampling policy, clipped, several epochs | Schulman et al. 2017 (PPO) |
| best_of | log-probability of the group's best, and of no other | Stiennon et al. 2020 |

A sample outside the reward model's support is never climbed in any of them: no gradient leads to
it. Where even the pessimistic reward lies below the group's mean it is descended like any other;
without that, a pair that was never shown drifts up with its two elements (docs/experiments.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from model.processes import ALONE, Processes

LOWEST = -3.0  # deviations; a pessimistic reward can lie far below all others
Method = Literal["gradient", "leave_one_out", "clipped", "best_of"]


@dataclass(frozen=True)
class Signal:
    """The reward model's word on B groups of G samples."""

    reward: Tensor  # (B, G) pessimistic
    supported: Tensor  # (B, G) bool, False = outside what the log taught the reward model


@dataclass(frozen=True)
class Tuning:
    """What the options need beside the signal."""

    clip_ratio: float  # how far a probability may move from the one sampled with
    kept: int  # samples of a group that are distilled
    processes: Processes = ALONE  # that hold the other groups of the batch


# (signal, log-probability (B, G), the same when sampled, tuning) -> gain (B, G) to climb
Gain = Callable[[Signal, Tensor, Tensor, Tuning], Tensor]


def advantage(signal: Signal) -> Tensor:
    """(B, G) (reward - mean) / deviation over the group's supported samples, others at most 0.

    Differences under a thousandth of the mean reward count as none.
    """
    apart = Apart.of(signal)
    deviation = (apart.inside.square().sum(1, keepdim=True) / apart.size).sqrt()
    scale = deviation + 1e-3 * apart.mean.abs() + 1e-12
    return apart.inside / scale + (apart.outside / scale).clamp(min=LOWEST)


def left_out(signal: Signal, processes: Processes = ALONE) -> Tensor:
    """(B, G) reward - mean of the group's other supported samples, in the batch's deviations.

    One unit for the whole batch: a group whose samples hardly differ has little to say.
    """
    apart = Apart.of(signal)
    others = apart.inside * apart.size / (apart.size - 1).clamp(min=1.0)
    level = apart.mean.abs()
    sums = [
        others.square().sum(),
        signal.supported.sum(),
        level.sum(),
        level.new_ones(()) * len(level),
    ]
    square, known, height, groups = processes.total(torch.stack([s.to(level.dtype) for s in sums]))
    scale = (square / known.clamp(min=1)).sqrt() + 1e-3 * height / groups + 1e-12
    return others / scale + (apart.outside / scale).clamp(min=LOWEST)


@dataclass(frozen=True)
class Apart:
    """Rewards less the mean of their group's supported samples; each part 0 where it is not."""

    inside: Tensor  # (B, G) of supported samples
    outside: Tensor  # (B, G) of the others, where they are below that mean
    size: Tensor  # (B, 1) supported samples, at least 1
    mean: Tensor  # (B, 1)

    @staticmethod
    def of(signal: Signal) -> "Apart":
        known = signal.supported
        size = known.sum(1, keepdim=True).clamp(min=1).to(signal.reward.dtype)
        mean = torch.where(known, signal.reward, 0.0).sum(1, keepdim=True) / size
        off = signal.reward - mean
        below = ~known & (off < 0) & known.any(1, keepdim=True)
        return Apart(torch.where(known, off, 0.0), torch.where(below, off, 0.0), size, mean)


def _gradient(signal: Signal, log_prob: Tensor, sampled: Tensor, tuning: Tuning) -> Tensor:
    return advantage(signal) * log_prob


def _leave_one_out(signal: Signal, log_prob: Tensor, sampled: Tensor, tuning: Tuning) -> Tensor:
    return left_out(signal, tuning.processes) * log_prob


def _clipped(signal: Signal, log_prob: Tensor, sampled: Tensor, tuning: Tuning) -> Tensor:
    ratio, better = (log_prob - sampled).exp(), advantage(signal)
    held = ratio.clamp(1 - tuning.clip_ratio, 1 + tuning.clip_ratio)
    return torch.minimum(ratio * better, held * better)


def _best_of(signal: Signal, log_prob: Tensor, sampled: Tensor, tuning: Tuning) -> Tensor:
    groups = log_prob.shape[1]
    ranked = signal.reward.masked_fill(~signal.supported, -torch.inf)
    order = ranked.sort(dim=1, descending=True, stable=True).indices
    place = order.sort(dim=1, stable=True).indices
    chosen = (place < tuning.kept) & signal.supported
    return chosen * log_prob * (groups / tuning.kept)


GAINS: dict[Method, Gain] = {
    "gradient": _gradient,
    "leave_one_out": _leave_one_out,
    "clipped": _clipped,
    "best_of": _best_of,
}
