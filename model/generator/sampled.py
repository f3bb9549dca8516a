"""What drawn rewards would show: the part of the policy that explores what is not yet known.

Each member of the ensemble that lies off the mode is a reward that the log leaves open, and so is
its mirror image. Every one of these would show its own best combinations; the policy shows each
one's as often (Thompson 1933; of a narrowed belief, as in Chapelle and Li 2011).
"""

import torch
from torch import Tensor

from model.generator.candidates import GRAINS, CandidateSet, Requests, best_combinations
from model.generator.search import score

KEPT = 8  # best combinations of each drawn reward


def sampled_set(requests: Requests, deviation: float, temperature: float) -> CandidateSet:
    """Every drawn reward's best combinations with its softmax over them, all draws alike.

    A combination that several draws would show stands there several times. deviation: how far
    draws lie off the mode, of the ensemble's own distance. Raises ValueError for a single member.
    """
    asked = len(requests.product)
    draws, pieces = requests.pieces.drawn(deviation)
    if not draws:
        raise ValueError(
            "the reward model has one member, so that no other reward can be drawn; set "
            "train_reward.options.members to 2 or more, or publish.sampled to 0"
        )
    kept, known = best_combinations(requests, pieces, KEPT, GRAINS * temperature, draws)
    reward = score(pieces, kept).masked_fill(~known, -torch.inf)
    share = torch.softmax(reward / temperature, dim=1) / draws

    def beside(part: Tensor) -> Tensor:
        """(B, draws x KEPT, ...) of (draws x B, KEPT, ...)."""
        return part.unflatten(0, (draws, asked)).transpose(0, 1).flatten(1, 2)

    combinations = beside(kept)
    mean = score(requests.pieces, combinations).masked_fill(~beside(known), -torch.inf)
    return CandidateSet(combinations, mean, beside(share))
