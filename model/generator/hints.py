"""The reward of each candidate shown alone, which the generator may lean on when it scores options.

A hint costs slots x candidates + 1 rewards a request and saves the generator from learning over
again what the reward model already says of single elements, new ones included; what the network
adds is what follows from the others on the card. A hint is as cautious as the training signal:
pessimistic, and never above average where the reward model has no support.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from model.reward.scoring import Scores

LEAST = 0.01  # a pessimistic reward is at least this share of the mean, so that it has a logarithm


@dataclass(frozen=True)
class Caution:
    """How far the reward model is believed."""

    pessimism: float  # spreads subtracted from the mean
    limit: float  # spread / mean above which a combination has no support in the log

    def reward(self, mean: Tensor, spread: Tensor) -> Tensor:
        """What the reward model is fairly sure of."""
        return torch.sub(mean, spread, alpha=self.pessimism)

    def supported(self, mean: Tensor, spread: Tensor) -> Tensor:
        """bool, False = beyond what the log taught the reward model."""
        return spread <= self.limit * mean.abs()


def hints(pieces: Scores, present: Tensor, caution: Caution) -> Tensor:
    """(B, S, K + 1) float64 log reward of each option alone, less its slot's mean; absent = 0.

    `present` (B, S, K) bool says which candidates there are.
    """
    mean, spread = (part.double() for part in pieces.singles())
    least = (LEAST * mean).clamp_(min=1e-12)
    known = torch.maximum(caution.reward(mean, spread), least).log_()
    sure = present & caution.supported(mean, spread)
    average, many = torch.where(sure, known, 0.0).sum(2, keepdim=True), sure.sum(2, keepdim=True)
    centred = known - average / many.clamp(min=1)
    centred = torch.where(sure, centred, centred.clamp(max=0.0) * (many > 0))
    centred = torch.where(present, centred, 0.0)
    return functional.pad(centred, (1, 0))
