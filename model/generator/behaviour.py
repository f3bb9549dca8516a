"""What the log showed, as the generator is first taught to show it (behaviour cloning)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags
from model.generator.encoding import Encoding
from model.generator.lattice import Lattice


@dataclass(frozen=True, eq=False)
class Shown:
    """n logged combinations that are legal today."""

    product: np.ndarray  # (n,) int64 position in the spaces
    context: Tensor  # (n, C) float32
    combinations: Tensor  # (n, S) int64 local indices, -1 = absent
    reach: np.ndarray  # (n,) float64 running sum of the weights, ends at 1
    illegal: int  # bags left out: of an unknown product, or not legal today

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count,) rows, each with chance in proportion to its weight."""
        return np.minimum(np.searchsorted(self.reach, rng.random(count)), len(self.reach) - 1)


def shown_in(bags: Bags, lattice: Lattice, encoding: Encoding, clip: float) -> Shown:
    """The logged combinations with their weights.

    Raises ValueError where no bag shows a legal combination: there is nothing to clone.
    """
    product = product_positions(bags.product_id, lattice)
    combinations = lattice.local(product, bags.element)
    legal = np.zeros(len(product), bool)
    for position, rows in _groups(product):
        legal[rows] = lattice.spaces[position].legal(combinations[rows])
    kept = np.flatnonzero(legal)
    if not len(kept):
        raise ValueError(
            f"none of the {len(product):,} bags shows a combination that the rules allow today; "
            "expected at least one; compare the catalog's combinations and forbidden tables with "
            "the logs"
        )
    count = np.array([space.count() for space in lattice.spaces], np.float64)
    weight = clone_weights(
        bags.impressions[kept], bags.propensity[kept], count[product[kept]], clip
    )
    context = {name: values[kept] for name, values in bags.context.items()}
    return Shown(
        product[kept],
        encoding.context_rows(context, len(kept)),
        torch.from_numpy(combinations[kept]),
        np.cumsum(weight) / weight.sum(),
        len(product) - len(kept),
    )


def clone_weights(
    impressions: np.ndarray, propensity: np.ndarray, count: np.ndarray, clip: float
) -> np.ndarray:
    """(n,) impressions x uniform chance / propensity, the ratio at most `clip`.

    So the clone covers evenly what was shown at all, instead of repeating the logging policy's
    preferences. Where the propensity is unknown the impressions alone are the weight.
    """
    known = np.isfinite(propensity) & (propensity > 0)
    ratio = 1.0 / (count * np.where(known, propensity, 1.0))
    return impressions * np.where(known, np.minimum(ratio, clip), 1.0)


def displays_by_option(bags: Bags, lattice: Lattice) -> Tensor:
    """(P, S, K + 1) float32 displays of each option in the log; absent counts as always shown."""
    product = product_positions(bags.product_id, lattice)
    local = lattice.local(np.maximum(product, 0), bags.element)
    found = np.zeros((*lattice.rows.shape[:2], lattice.rows.shape[2] + 1), np.float32)
    found[:, :, 0] = np.inf
    row, slot = np.nonzero((local >= 0) & (product >= 0)[:, None])
    np.add.at(found, (product[row], slot, local[row, slot] + 1), bags.impressions[row])
    return torch.from_numpy(found)


def product_positions(product_id: np.ndarray, lattice: Lattice) -> np.ndarray:
    """(n,) int64 position of each bag's product in the lattice, -1 = none."""
    position = {space.product_id: at for at, space in enumerate(lattice.spaces)}
    return np.array([position.get(name, -1) for name in product_id.tolist()], np.int64)


def _groups(product: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(position, rows) of every known product."""
    order = np.argsort(product, kind="stable")
    found, first = np.unique(product[order], return_index=True)
    parts = np.split(order, first[1:])
    return [(int(at), rows) for at, rows in zip(found, parts, strict=True) if at >= 0]


def clone_loss(log_prob: Tensor) -> Tensor:
    """Mean nats by which the policy misses the logged combinations (drawn by weight)."""
    return -log_prob.mean()
