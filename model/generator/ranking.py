"""How rewards are compared: in steps of `grain`, equal ones in the order of `Space.enumerate`."""

from math import isfinite

import torch
from torch import Tensor

MOST = 2.0**40  # rewards are cut at so many grains, to leave 22 bits for the tie-break
PLACES = 2**22


def finite(reward: Tensor) -> Tensor:
    """The rewards, all finite; ValueError where one is not."""
    if not isfinite(float(reward.sum())) and not bool(torch.isfinite(reward).all()):
        raise ValueError(
            f"the reward model gave {int((~torch.isfinite(reward)).sum())} of {reward.numel()} "
            "combinations a reward that is no finite number; expected finite rewards; look at its "
            "training metrics and at the elements' embeddings and history"
        )
    return reward


def ranked(reward: Tensor, grain: float, k: int, place: Tensor | None = None) -> Tensor:
    """(B, min(k, L)) which of the rewards (B, L) are highest, ties to the earlier place.

    place: int64 below 2^22 of each reward, its position by default.
    """
    if place is None:
        place = torch.arange(reward.shape[1])
    steps = torch.round(reward / grain).clamp_(-MOST, MOST).long()
    keys = torch.add(PLACES - 1 - place, steps, alpha=PLACES)
    return keys.topk(min(k, reward.shape[1]), dim=1).indices
