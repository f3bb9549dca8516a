"""A step's loss: the gain of the configured option, divergence from the clone, entropy floor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.generator.config import GeneratorConfig
from model.generator.decode import Walk
from model.generator.options import GAINS, Signal, Tuning, advantage
from model.processes import ALONE, Processes

__all__ = ["PolicyStep", "Signal", "advantage", "held_by", "means", "policy_step", "step_of"]


@dataclass(frozen=True)
class PolicyStep:
    """One step's loss and what it was made of; all tensors without dimension."""

    loss: Tensor
    reward: Tensor  # mean pessimistic reward of the samples
    kl: Tensor  # divergence from the clone, share of log(count)
    entropy: Tensor  # share of log(count)
    supported: Tensor  # share of the samples within the reward model's support


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
    config: GeneratorConfig,
    sampled: Tensor | None = None,
    processes: Processes = ALONE,
    share: float = 1.0,
) -> PolicyStep:
    """The loss of B groups of G sampled combinations.

    `log_count` (B,) log of the number of legal combinations: the unit of divergence and entropy.
    `sampled` (B, G) log-probabilities that they were drawn with; default: the walk's own.
    Where several `processes` hold a batch, these groups being `share` of it, the figures are those
    of the whole batch, and the gradients of all have to be summed.
    """
    own = means(walk, reference, signal, log_count, config, sampled, processes)
    return step_of(processes.total(own * share), config)


def means(
    walk: Walk,
    reference: Walk,
    signal: Signal,
    log_count: Tensor,
    config: GeneratorConfig,
    sampled: Tensor | None = None,
    processes: Processes = ALONE,
) -> Tensor:
    """(5,) of these groups: gain, divergence and entropy in units of log_count, reward, support."""
    unit = log_count.clamp(min=0.5)[:, None]
    drawn = walk.log_prob.detach() if sampled is None else sampled
    tuning = Tuning(config.clip_ratio, config.kept, processes)
    gain = GAINS[config.method](signal, walk.log_prob, drawn, tuning)
    kl, held = divergence(walk, reference) / unit, entropy(walk) / unit
    parts = (gain, kl, held, signal.reward, signal.supported)
    return torch.stack([part.to(gain.dtype).mean() for part in parts])


def step_of(means: Tensor, config: GeneratorConfig) -> PolicyStep:
    """The loss of a batch with these `means`."""
    gain, kl, held, reward, supported = means
    short = torch.relu(config.entropy_floor - held)
    restraint = 0.5 * held_by(kl, config) * kl
    loss = restraint + config.entropy_weight * short - gain
    return PolicyStep(loss, reward.detach(), kl.detach(), held.detach(), supported.detach())


def held_by(kl: Tensor, config: GeneratorConfig) -> Tensor:
    """What a unit of divergence costs at this divergence: `kl_weight` at its target, in proportion
    below and above it.

    It answers in the same step. A weight that is moved a little after each step (adaptive PPO,
    Schulman et al. 2017, arXiv 1707.06347) lags behind the divergence and swings with it (ADR 33).
    """
    return config.kl_weight * kl / config.kl_target
