"""How far predicted log-odds are from what was counted."""

import torch
from torch import Tensor
from torch.nn import functional as F


def binomial_loss(logits: Tensor, events: Tensor, trials: Tensor, weight: Tensor) -> Tensor:
    """(M,) minus log likelihood of events (n,) of trials (n,) at logits (n, M), weights (n, M)."""
    loss = trials[:, None] * F.softplus(logits) - events[:, None] * logits
    return (weight * loss).sum(0)


def comparison_loss(
    logits: Tensor, events: Tensor, trials: Tensor, weight: Tensor, group: Tensor
) -> Tensor:
    """(M,) minus log likelihood of which row of its group each event fell on, given the group.

    Conditional (multinomial) likelihood of Poisson counts with the group's level cancelled, so
    the appeal of a product can't stand in for the effect of its elements. group (n,) int64.
    Source: Breslow and Day (1980), "Statistical methods in cancer research" 1, chapter 7.
    """
    groups = int(group.max()) + 1 if len(group) else 0
    exposed = trials[:, None].clamp(min=1e-9).log() + weight.clamp(min=1e-9).log() + logits
    shape = (groups, logits.shape[1])
    index = group[:, None].expand_as(exposed)
    peak = torch.full(shape, -torch.inf, device=logits.device).scatter_reduce(
        0, index, exposed.detach(), "amax"
    )
    mass = torch.zeros(shape, device=logits.device).index_add(
        0, group, (exposed - peak[group]).exp()
    )
    level = mass.log() + peak
    return (weight * events[:, None] * (level[group] - logits)).sum(0)
