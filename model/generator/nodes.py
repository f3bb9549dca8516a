"""Where prefixes of combinations stand in their automata, and what each may go on with.

Without rules every slot has one node: what is allowed is the same on every way, and whoever scores
the options gives the others -inf (`Lattice.closed`). Then there is nothing to follow.
"""

import torch
from torch import Tensor

from model.generator.lattice import Lattice


class Nodes:
    """The nodes of G prefixes for each of B products, slot by slot; now: (B, G) int64, None = not
    followed."""

    def __init__(self, lattice: Lattice, product: Tensor):
        self.now = lattice.start[product][:, None] if lattice.closed is None else None
        self._lattice, self._after = lattice, torch.empty(0)

    def allowed(self, scores: Tensor) -> Tensor:
        """(B, G, K + 1) scores of this slot's options, -inf where one is not allowed."""
        if self.now is None:
            return scores
        self._after = self._lattice.after(self.now)
        return scores.masked_fill(self._after < 0, -torch.inf)

    def follow(self, kept: Tensor) -> None:
        """On to the next slot with these of the G x (K + 1) ways (B, W)."""
        if self.now is not None:
            self.now = self._after.flatten(1).gather(1, kept).clamp_(min=0)


def passed(lattice: Lattice, product: Tensor, options: Tensor) -> tuple[Tensor, Tensor]:
    """(nodes (B, G, S) that options (B, G, S) lead through, where they end (B, G), -1 = nowhere).

    -1, where an option leads to that is not allowed, is the last node, and that leads nowhere.
    """
    node, found = lattice.start[product][:, None].expand(options.shape[:2]), []
    for slot in range(lattice.slots):
        found.append(node)
        node = lattice.step[node, options[:, :, slot]]
    return torch.stack(found, 2), node
