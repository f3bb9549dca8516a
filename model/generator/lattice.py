"""The automata of several products side by side, as tensors to walk in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from model.combinations import Space
from model.generator.shared import Shared


@dataclass(frozen=True, eq=False)
class Automata:
    """The automata of P products one after the other; node numbers are global.

    An option is 0 = absent or a local candidate index + 1.
    """

    start: Tensor  # (P,) int64
    step: Tensor  # (node, K + 1) int64: the node an option leads to, -1 = not allowed
    log_ways: Tensor  # (node,) float64: log of the number of legal completions
    log_count: Tensor  # (P,) float64: log of the number of legal combinations
    even: Tensor  # (P,) float64: one over that number
    # (P, S, K + 1) bool: never allowed; None where what is allowed depends on other choices. It
    # does not where every slot has one node, and the next slot's is the one that follows.
    closed: Tensor | None

    @staticmethod
    def of(spaces: Sequence[Space]) -> "Automata":
        """Product p of them is spaces[p]."""
        slots, options = len(spaces[0].candidates), max(space.step.shape[1] for space in spaces)
        sizes = np.array([len(space.step) for space in spaces])
        start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        step = np.full((int(sizes.sum()), options), -1, np.int64)
        for space, first in zip(spaces, start, strict=True):
            own = step[first : first + len(space.step), : space.step.shape[1]]
            own[:] = np.where(space.step >= 0, space.step + first, -1)
        ways = np.concatenate([space.ways for space in spaces])
        log_ways = torch.from_numpy(np.log(np.maximum(ways, 1e-300)))
        closed = None
        if (sizes == slots + 1).all():
            barred = (step < 0).reshape(len(spaces), slots + 1, options)
            closed = torch.from_numpy(barred[:, :-1].copy())
        first = torch.from_numpy(start)
        count = log_ways[first]
        return Automata(first, torch.from_numpy(step), log_ways, count, torch.exp(-count), closed)

    def to(self, device: str) -> "Automata":
        """These tables there, without what a `Lattice` holds beside them."""
        closed = None if self.closed is None else self.closed.to(device)
        return Automata(
            self.start.to(device),
            self.step.to(device),
            self.log_ways.to(device),
            self.log_count.to(device),
            self.even.to(device),
            closed,
        )

    def after(self, node: Tensor) -> Tensor:
        """(..., K + 1) int64 nodes reached from `node` by each option, -1 = not allowed."""
        return self.step[node]


_alone = Shared(lambda space: Automata.of([space]))


@dataclass(frozen=True, eq=False)
class Lattice(Automata):
    """Legal combinations of P products with up to K candidates in each of S slots."""

    spaces: tuple[Space, ...]
    rows: np.ndarray  # (P, S, K) int32 rows in Elements, -1 = padding

    @staticmethod
    def pack(spaces: Sequence[Space], device: str = "cpu") -> "Lattice":
        """One lattice; product p of it is spaces[p]."""
        found = _alone.of(spaces[0]) if len(spaces) == 1 else Automata.of(spaces)
        rows = _padded_rows(spaces, found.step.shape[1] - 1)
        if device != "cpu":
            found = found.to(device)
        tables = found.start, found.step, found.log_ways, found.log_count, found.even, found.closed
        return Lattice(*tables, tuple(spaces), rows)

    @property
    def slots(self) -> int:
        return self.rows.shape[1]

    @property
    def widest(self) -> int:
        """Most candidates of one product, all slots together."""
        return int((self.rows >= 0).sum((1, 2)).max())

    @cached_property
    def present(self) -> Tensor:
        """(P, S, K) bool: there is such a candidate."""
        return torch.from_numpy(self.rows >= 0)

    @cached_property
    def _position(self) -> np.ndarray:
        """Position of each row of Elements in its candidate list; the last entry is for others."""
        position = np.zeros(int(self.rows.max()) + 2, np.int64)
        product, slot, index = np.nonzero(self.rows >= 0)
        position[self.rows[product, slot, index]] = index
        return position

    def local(self, product: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """(n, S) int64 local indices of (n, S) rows in Elements, each shown for product[n].

        -1 = absent; -2, which is legal nowhere, = not a candidate of that product and slot.
        """
        inside = (shown >= 0) & (shown < len(self._position) - 1)
        index = self._position[np.where(inside, shown, -1)]
        slots = np.arange(self.slots)
        own = inside & (self.rows[product[:, None], slots, index] == shown)
        return np.where(own, index, np.where(shown >= 0, -2, -1))


def _padded_rows(spaces: Sequence[Space], candidates: int) -> np.ndarray:
    rows = np.full((len(spaces), len(spaces[0].candidates), candidates), -1, np.int32)
    for product, space in enumerate(spaces):
        for slot, own in enumerate(space.candidates):
            rows[product, slot, : len(own)] = own
    return rows
