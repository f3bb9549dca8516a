"""How far the tuning rows' likelihoods say that one set of weights is worse than another.

A tenth of the rows holds few clicks, and the weights have priors, so the lowest of many looks at
the tuning loss is mostly chance. Earlier weights are preferred only where the later are worse by
more than the standard error of the difference, row by row (the one-standard-error rule of Breiman
et al. 1984, "Classification and regression trees", section 3.4.3, on paired differences).
"""

import torch
from torch import Tensor

from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs
from model.reward.loss import binomial_losses, comparison_losses
from model.reward.members import mode
from model.reward.network import VALUE, RewardNetwork
from model.reward.rows import Rows
from model.reward.value import value_losses

SHARES = 50  # steps of the share that is heard
ERRORS = 1.0  # standard errors of the difference


@torch.no_grad()
def tuning_losses(
    network: RewardNetwork, tuning: tuple[ElementInputs, Rows], config: RewardConfig
) -> Tensor:
    """(n,) minus log likelihood of each row: comparison within products, the level where any
    product is known, and values."""
    inputs, rows = tuning
    outputs = network.elements(inputs)
    found, _ = network.logits(outputs, rows.batch)
    logits, one = mode(found)[:, None], rows.weight[:, :1]
    groups = int(rows.group.max()) + 1
    loss = comparison_losses(logits, rows.clicks, rows.displays, one, rows.group, groups)
    if bool((rows.batch.product > 0).any()):
        level = binomial_losses(logits, rows.clicks, rows.displays, one)
        loss = (1 - config.comparison) * level + config.comparison * loss
    if network.heads > VALUE:
        ratio = mode(network.logits(outputs, rows.batch, head=VALUE)[0])[:, None]
        loss = loss + value_losses(ratio, rows.ratio, rows.evidence, one)
    return loss[:, 0]


@torch.no_grad()
def heard(network: RewardNetwork, tuning: tuple[ElementInputs, Rows] | None) -> float:
    """Share, 0 to 1, of what the value head says that the tuning rows' values bear out.

    The share's prior is normal around 0 with deviation 1, so that few conversions hear little.
    """
    if tuning is None:
        return 0.0
    inputs, rows = tuning
    told = mode(network.logits(network.elements(inputs), rows.batch, head=VALUE)[0])
    shares = torch.linspace(0, 1, SHARES + 1, device=told.device)
    even = told.new_ones(len(told), len(shares))
    loss = value_losses(told[:, None] * shares, rows.ratio, rows.evidence, even).double().sum(0)
    return float(shares[(loss + shares.square() / 2).argmin()])


def clearly_worse(later: Tensor, earlier: Tensor, group: Tensor) -> bool:
    """Whether the later losses (n,) exceed the earlier beyond chance; rows of a group (n,) may
    depend on each other, so the larger error, of rows or of groups, counts."""
    apart = (later - earlier).double()
    by_group = torch.zeros(int(group.max()) + 1, dtype=apart.dtype, device=apart.device)
    by_group = by_group.index_add(0, group, apart)
    error = max(_error(apart), _error(by_group))
    return float(apart.sum()) > ERRORS * error


def _error(parts: Tensor) -> float:
    """Standard error of the parts' sum."""
    return float((parts - parts.mean()).square().sum().sqrt())
