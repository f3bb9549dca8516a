"""The policy gradient's step: advantage inside the group, divergence from the clone, entropy floor.

Group-relative advantages as in GRPO (Shao et al. 2024, arXiv 2402.03300), one gradient step a
sample, so without ratio clipping.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.generator.config import GeneratorConfig
from model.generator.decode import Walk


@dataclass(frozen=True)
class Signal:
    """The reward model's word on B groups of G samples."""

    reward: Tensor  # (B, G) pessimistic
    supported: Tensor  # (B, G) bool, False = outside what the log taught the reward model


@dataclass(frozen=True)
class PolicyStep:
    """One step's loss and what it was made of; all tensors without dimension."""

    loss: Tensor
    reward: Tensor  # mean pessimistic reward of the samples
    kl: Tensor  # divergence from the clone, share of log(count)
    entropy: Tensor  # share of log(count)
    supported: Tensor  # share of the samples within the reward model's support


def advantage(signal: Signal) -> Tensor:
    """(B, G) (reward - group mean) / group deviation over the supported samples, else 0.

    Differences under a thousandth of the mean reward count as none.
    """
    reward, weight = signal.reward, signal.supported.to(signal.reward.dtype)
    size = weight.sum(1, keepdim=True).clamp(min=1.0)
    mean = (reward * weight).sum(1, keepdim=True) / size
    off = (reward - mean) * weight
    deviation = (off.square().sum(1, keepdim=True) / size).sqrt()
    return off / (deviation + 1e-3 * mean.abs() + 1e-12)


def divergence(walk: Walk, reference: Walk) -> Tensor:
    """(B, G) KL(policy || reference) in nats, exact at each slot given the sampled prefix."""
    share = walk.steps.exp().masked_fill(~walk.allowed, 0.0)
    return (share * (walk.steps - reference.steps)).sum((2, 3))


def entropy(walk: Walk) -> Tensor:
    """(B, G) entropy in nats, exact at each slot given the sampled prefix."""
    share = walk.steps.exp().masked_fill(~walk.allowed, 0.0)
    return -(share * walk.steps).sum((2, 3))


def policy_step(
    walk: Walk,
    reference: Walk,
    signal: Signal,
    log_count: Tensor,
    kl_weight: Tensor,
    config: GeneratorConfig,
) -> PolicyStep:
    """The loss of B groups of G sampled combinations.

    `log_count` (B,) log of the number of legal combinations: the unit of divergence and entropy.
    """
    unit = log_count.clamp(min=0.5)[:, None]
    gain = (advantage(signal) * walk.log_prob).mean()
    kl = (divergence(walk, reference) / unit).mean()
    held = (entropy(walk) / unit).mean()
    short = torch.relu(config.entropy_floor - held)
    return PolicyStep(
        kl_weight * kl + config.entropy_weight * short - gain,
        signal.reward.mean(),
        kl.detach(),
        held.detach(),
        signal.supported.float().mean(),
    )


def adapted(kl_weight: Tensor, kl: Tensor, target: float) -> Tensor:
    """The divergence's weight for the next step: up where it is above its target, else down.

    The rule of adaptive PPO (Schulman et al. 2017, arXiv 1707.06347), without leaving the device.
    """
    factor = torch.where(kl > 1.2 * target, 1.05, torch.where(kl < target / 1.2, 0.95, 1.0))
    return (kl_weight * factor).clamp(0.3, 30.0)
