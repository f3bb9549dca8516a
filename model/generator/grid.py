"""The halves that a product's legal combinations are made of.

The reward's log-odds are sums over elements and pairs of elements, so a combination's is that of
its first half, that of its second half, and the product of their factor sums: a matrix product
instead of a look-up for every combination (blocks.py).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.combinations import Space

SHORT = 64  # shorter lists are scored directly
WASTE = 4  # pairs of halves computed for each that is listed, at most


@dataclass(frozen=True, eq=False)
class Halves:
    """The distinct first and second halves of a product's combinations, in order."""

    first: Tensor  # (n, S) int64 local indices, the second half's slots absent
    second: Tensor  # (m, S) likewise
    place: Tensor | None  # (L,) which of the n x m pairs is listed; None = all of them, in order

    @staticmethod
    def between(space: Space) -> "Halves | None":
        """Halves read off the product's automaton; None where pairing them would be wasteful."""
        slots, count = len(space.candidates), space.count()
        cut = slots // 2
        if cut == 0 or count < SHORT:
            return None
        first, _, middle = _paths(space, np.zeros(1, np.int64), range(cut))
        nodes, node_of = np.unique(middle, return_inverse=True)
        paths, origin, _ = _paths(space, nodes, range(cut, slots))
        second, which = np.unique(paths, axis=0, return_inverse=True)
        if len(first) * len(second) > WASTE * count:
            return None
        legal = np.zeros((len(nodes), len(second)), bool)
        legal[origin, which.reshape(-1)] = True
        place = np.flatnonzero(legal[node_of])
        full = len(place) == len(first) * len(second)
        return Halves(
            _padded(first, 0, slots),
            _padded(second, cut, slots),
            None if full else torch.from_numpy(place),
        )


def _paths(
    space: Space, nodes: np.ndarray, slots: range
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(choices (n, slots), which of `nodes` each path starts at, the node it ends at), in order."""
    chosen, origin = np.zeros((len(nodes), 0), np.int64), np.arange(len(nodes))
    for _ in slots:
        path, option = np.nonzero(space.step[nodes] >= 0)
        nodes = space.step[nodes[path], option]
        origin = origin[path]
        chosen = np.concatenate([chosen[path], (option - 1)[:, None]], axis=1)
    return chosen, origin, nodes


def _padded(half: np.ndarray, start: int, slots: int) -> Tensor:
    whole = np.full((len(half), slots), -1, np.int64)
    whole[:, start : start + half.shape[1]] = half
    return torch.from_numpy(whole)
