"""Sizes and priors of the reward model.

Weights have a normal prior each; its scale is the spread of effects (in log-odds) that one would
expect before seeing data, so the defaults need no tuning from source to source.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RewardConfig:
    """What is learned and how long; scales are standard deviations in log-odds.

    passes: at least so often every row is learned from; batches grow where `batch` is too small.
    dispersion: how many times over binomial the clicks vary; likelihoods are divided by it. 0 asks
    the rows (dispersion.py).
    patience: looks at the tuning rows, worse than the best beyond chance, after which it ends.
    members: the mode, and as many more as are drawn around it (members.py).
    anchored: how far off the drawn members' anchors lie, in deviations of the prior.
    landmarks: elements of a slot whose embeddings span the smooth term (smooth.py); 0 = none.
    comparison: share of the loss that compares combinations of a product with each other.
    step: plain: autograd; fused: gradients by hand, the same bits each time, one CUDA graph on a GPU
    (fused/); auto: fused on a GPU with triton, where it can learn the log.
    most_gib: memory that the weights, their gradients, moments and copies may take while learning.
    """

    target: Literal["click", "conversion", "value"] = "click"
    members: int = 5
    steps: int = 240
    step: Literal["auto", "plain", "fused"] = "auto"
    batch: int = 16384
    passes: float = 4.0
    learning_rate: float = 0.03
    patience: int = 12
    buckets: int = 65536
    landmarks: int = 0
    interaction: int = 6
    context_rank: int = 4
    bins: int = 8
    dispersion: float = 0.0
    comparison: float = 0.5
    id_dropout: float = 0.0
    anchored: float = 1.0
    scale_text: float = 0.12
    scale_embedding: float = 0.1
    scale_smooth: float = 0.17
    scale_shared_id: float = 0.06
    scale_id: float = 0.06
    scale_history: float = 0.2
    scale_slot: float = 0.5
    scale_product: float = 1.0
    scale_context: float = 0.7
    scale_interaction: float = 0.05
    scale_context_element: float = 0.04
    most_gib: float = 4.0
