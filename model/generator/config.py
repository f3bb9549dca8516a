"""Every hyperparameter of the generator, with defaults that suit a first run on two cores."""

from dataclasses import dataclass
from typing import Literal, get_args

from model.generator.options import GAINS, Method

_COUNTS = ("clone_batch", "batch", "group", "pool", "checkpoint_every", "probe")


Way = Literal["auto", "plain", "fused"]


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes, cloning, reinforcement learning.

    Shares: `kl_target` and `entropy_floor` are in units of log(number of legal combinations), so
    that they mean the same for a product with 2 and for one with 20,000.
    """

    width: int = 48
    heads: int = 4
    layers: int = 1
    buckets: int = 8192  # hashed text n-grams
    text_tokens: int = 96  # at most so many n-grams of one element are read
    id_dropout: float = 0.2  # share of the products that a step sees as if they were new
    bins: int = 8  # quantile bins of a numeric context feature

    clone_steps: int = 60
    clone_batch: int = 512  # logged combinations a step
    clip: float = 10.0  # largest weight of a logged combination against uniform logging

    steps: int = 220
    step: Way = "auto"  # fused: static shapes, one CUDA graph; auto: fused on a GPU with triton
    batch: int = 128  # (product, context) pairs a step
    group: int = 16  # combinations sampled for each of them
    pool: int = 4096  # (product, context) pairs drawn from the bags
    pool_candidates: int = 1_000_000  # bound on pool x slots x candidates, for memory
    step_candidates: int = 60_000  # bound on a step's requests x candidates of one product
    pessimism: float = 1.0  # spreads of the reward subtracted from its mean
    support: float = 1.5  # limit on spread / mean, in 99 % quantiles of the logged combinations
    least_shown: float = 1.0  # displays that every element of a combination needs to have support
    method: Method = "gradient"  # how rewards become a gain: see options.py
    clip_ratio: float = 0.2  # of method clipped
    epochs: int = 4  # updates on the same samples, of method clipped
    kept: int = 2  # samples of a group that method best_of learns from
    kl_weight: float = 3.0  # cost of a unit of divergence at kl_target; in proportion elsewhere
    kl_target: float = 0.5
    entropy_weight: float = 1.0
    entropy_floor: float = 0.1

    learning_rate: float = 8e-3
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    checkpoint_every: int = 25  # steps
    probe: int = 256  # (product, context) pairs on which the metrics are taken

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(
                f"generator width {self.width} is not a multiple of heads {self.heads}; "
                "expected width = heads x a whole number"
            )
        if self.method not in GAINS:
            raise ValueError(
                f"generator method is {self.method!r}; expected one of {', '.join(GAINS)}"
            )
        if self.step not in get_args(Way):
            raise ValueError(
                f"generator step is {self.step!r}; expected one of {', '.join(get_args(Way))}"
            )
        if self.step == "fused" and self.method == "clipped":
            raise ValueError(
                "generator step fused draws and learns once a batch, method clipped learns several "
                "times from it; use step auto or plain"
            )
        for name in (*_COUNTS, "epochs", "kept"):
            if getattr(self, name) < 1:
                raise ValueError(f"generator {name} is {getattr(self, name)}; expected at least 1")
