"""How rewards are compared: in steps of `grain`, equal ones in the order of `Space.enumerate`."""

import torch
from torch import Tensor

MOST = 2.0**40  # rewards are cut at so many grains, to leave 22 bits for the tie-break


def finite(reward: Tensor) -> Tensor:
    """The rewards, all finite; ValueError where one is not."""
    if not bool(torch.isfinite(reward).all()):
        raise ValueError(
            f"the reward model gave {int((~torch.isfinite(reward)).sum())} of {reward.numel()} "
            "combinations a reward that is no finite number; expected finite rewards; look at its "
            "training metrics and at the elements' embeddings and history"
        )
    return reward


def ranked(reward: Tensor, grain: float, k: int) -> Tensor:
    """(B, min(k, L)) positions of the highest rewards, ties to the earlier position."""
    places = reward.shape[1]
    steps = torch.round(reward.clamp(min=-MOST * grain) / grain).clamp(-MOST, MOST)
    keys = steps.long() * 2**22 + (2**22 - 1 - torch.arange(places))
    return keys.topk(min(k, places), dim=1).indices
