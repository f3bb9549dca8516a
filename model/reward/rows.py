"""Bags as tensors, with the weight that each member gives to each of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags
from model.codes import coded
from model.elements import Elements
from model.reward.config import RewardConfig
from model.reward.encode import encode
from model.reward.encoding import ElementInputs, Encoding
from model.reward.network import Batch
from model.reward.value import baskets

HALF_WEIGHT = 0.9  # how far a member's weight of a cluster lies from 1


@dataclass(frozen=True, eq=False)
class Rows:
    """Bags as tensors with their product's place (n,), counts (n,), the weight of each member
    (n, M), and what conversions were worth (n,) (value.py)."""

    batch: Batch
    group: Tensor
    clicks: Tensor
    displays: Tensor
    conversions: Tensor
    weight: Tensor
    mature: Tensor
    converted: Tensor
    ratio: Tensor
    evidence: Tensor

    def take(self, index: Tensor) -> "Rows":
        b = self.batch
        return Rows(
            Batch(*(part.index_select(0, index) for part in vars(b).values())),
            *(getattr(self, name).index_select(0, index) for name in _COUNTS),
        )

    def digest(self) -> str:
        """Names these rows and weights."""
        total = hashlib.sha256()
        b = self.batch
        for part in (b.element, b.product, b.context, b.history, *(vars(self)[n] for n in _COUNTS)):
            total.update(part.cpu().contiguous().numpy().tobytes())
        return total.hexdigest()


_COUNTS = (
    "group",
    "clicks",
    "displays",
    "conversions",
    "weight",
    "mature",
    "converted",
    "ratio",
    "evidence",
)


def member_weights(bags: Bags, members: int, rng: np.random.Generator) -> np.ndarray:
    """(n, M) weight of each cluster for each member: 1 for the first, others stress a random half
    (half-samples, McCarthy 1969)."""
    names, codes = coded(bags.cluster_id)
    weight = np.ones((len(names), members))
    weight[:, 1:] += HALF_WEIGHT * rng.choice([-1.0, 1.0], size=(len(names), members - 1))
    return weight[codes]


def rows_of(
    encoding: Encoding,
    bags: Bags,
    shown: np.ndarray,
    weight: np.ndarray,
    device: str,
    values: Mapping[str, float] | None = None,
) -> Rows:
    """The bags of elements `shown`; `values`: mean value of a conversion by product."""
    place = np.searchsorted(shown, np.maximum(bags.element, shown[0] if len(shown) else 0))
    place = np.where(bags.element >= 0, place, -1)
    batch = encode(encoding, bags, place)
    moved = Batch(
        *(getattr(batch, n).to(device) for n in ("element", "product", "context", "history"))
    )
    clicks = np.minimum(bags.clicks, bags.impressions)
    bought = baskets(bags, values or {})
    columns = (
        clicks,
        bags.impressions,
        np.minimum(bags.conversions, clicks),
        weight,
        bags.click_mature,
        bags.conversion_mature,
        bought.ratio,
        bought.evidence,
    )
    tensors = (torch.from_numpy(np.asarray(c, np.float32)).to(device) for c in columns)
    group = coded(bags.product_id)[1]
    return Rows(moved, torch.from_numpy(group).to(device), *tensors)


def tuning_of(
    encoding: Encoding,
    valid: Bags,
    elements: Elements,
    shown: np.ndarray,
    config: RewardConfig,
    device: str,
    values: Mapping[str, float],
) -> tuple[ElementInputs, Rows] | None:
    """The tuning rows with their own elements; None where they hold no click."""
    final = valid.take(np.flatnonzero(valid.click_mature))
    if not len(final) or final.clicks.sum() == 0:
        return None
    used = np.unique(final.element[final.element >= 0])
    inputs = encoding.element_inputs(elements.take(used)).to(device)
    even = np.ones((len(final), config.members))
    return inputs, rows_of(encoding, final, used, even, device, values)
