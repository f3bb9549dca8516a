"""How far predicted log-odds are from what was counted."""

import torch
from torch import Tensor
from torch.nn import functional as F

from model.processes import ALONE, Processes


def binomial_loss(logits: Tensor, events: Tensor, trials: Tensor, weight: Tensor) -> Tensor:
    """(M,) minus log likelihood of events (n,) of trials (n,) at logits (n, M), weights (n, M)."""
    return binomial_losses(logits, events, trials, weight).sum(0)


def binomial_losses(logits: Tensor, events: Tensor, trials: Tensor, weight: Tensor) -> Tensor:
    """(n, M) the same row by row."""
    return weight * (trials[:, None] * F.softplus(logits) - events[:, None] * logits)


def comparison_loss(
    logits: Tensor,
    events: Tensor,
    trials: Tensor,
    weight: Tensor,
    group: Tensor,
    groups: int,
    processes: Processes = ALONE,
) -> Tensor:
    """(M,) minus log likelihood of which row of its group each event fell on, given the group.

    Conditional (multinomial) likelihood of Poisson counts with the group's level cancelled, so
    the appeal of a product can't stand in for the effect of its elements. group (n,) int64, below
    `groups`. Rows of a group that other processes hold are compared with as well; the loss is that
    of the own events, its gradient that of all.
    Source: Breslow and Day (1980), "Statistical methods in cancer research" 1, chapter 7.
    """
    level, mass = _levels(logits, trials, weight, group, groups)
    fell = weight * events[:, None]
    if processes.count == 1:
        return (fell * (level[group] - logits)).sum(0)
    counted = torch.zeros_like(mass).index_add(0, group, fell)
    level, elsewhere = _across(level, counted, processes)
    moved = torch.where(mass > 0, elsewhere * (level - level.detach()), 0.0)
    return (fell * (level[group] - logits)).sum(0) + moved.sum(0)


def comparison_losses(
    logits: Tensor, events: Tensor, trials: Tensor, weight: Tensor, group: Tensor, groups: int
) -> Tensor:
    """(n, M) the same row by row, of one process."""
    level, _ = _levels(logits, trials, weight, group, groups)
    return weight * events[:, None] * (level[group] - logits)


def _levels(
    logits: Tensor, trials: Tensor, weight: Tensor, group: Tensor, groups: int
) -> tuple[Tensor, Tensor]:
    """(groups, M): log of what each group's rows expect in all; and that over its largest row."""
    exposed = trials[:, None].clamp(min=1e-9).log() + weight.clamp(min=1e-9).log() + logits
    shape = (groups, logits.shape[1])
    index = group[:, None].expand_as(exposed)
    peak = logits.new_full(shape, -torch.inf).scatter_reduce(0, index, exposed.detach(), "amax")
    mass = logits.new_zeros(shape).index_add(0, group, (exposed - peak[group]).exp())
    return mass.log() + peak, mass


def _across(level: Tensor, counted: Tensor, processes: Processes) -> tuple[Tensor, Tensor]:
    """(level of each group with the rows of all processes, events that others counted in it)."""
    every = processes.gathered(torch.stack([level.detach(), counted]))
    others = every[torch.arange(processes.count, device=every.device) != processes.rank]
    return torch.logaddexp(level, others[:, 0].logsumexp(0)), others[:, 1].sum(0)
