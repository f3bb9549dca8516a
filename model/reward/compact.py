"""Only the n-grams that the elements hold are learned: the table without its other rows.

A row that no element uses has no gradient but its prior's, which is 0 where it starts. Learning
without it gives the same weights and spares the optimiser most of its work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from model.reward.encoding import ElementInputs
from model.reward.network import RewardNetwork


@contextmanager
def only_used(network: RewardNetwork, inputs: ElementInputs) -> Iterator[torch.Tensor]:
    """Inside, the network's n-gram table holds the rows of these inputs alone, whose buckets (u,)
    in the whole table are given; afterwards it is whole again, with what was learned."""
    whole, anchor = network.text.detach(), network.get_buffer("anchor_text")
    used = torch.unique(inputs.grams.bucket)
    network.text = nn.Parameter(whole[used])
    network.anchor_text = anchor[used] if anchor.dim() else anchor
    try:
        yield used
    finally:
        found = whole.clone()
        found[used.to(whole.device)] = network.text.detach().to(whole.device)
        network.text = nn.Parameter(found)
        network.anchor_text = anchor


def renamed(inputs: ElementInputs, used: torch.Tensor) -> ElementInputs:
    """Inputs whose n-grams are rows of the table of `used` buckets; others weigh nothing."""
    grams = inputs.grams
    at = torch.searchsorted(used, grams.bucket).clamp(max=max(len(used) - 1, 0))
    known = used[at] == grams.bucket if len(used) else torch.zeros_like(at, dtype=torch.bool)
    weight = grams.weight * known.to(grams.weight.dtype)
    return replace(inputs, grams=replace(grams, bucket=at, weight=weight))
