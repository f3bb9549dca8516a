"""Where prefixes of combinations stand in their automata, and what each may go on with.

Without rules every slot has one node (`Lattice.closed`): then there is nothing to follow.
"""

import torch
from torch import Tensor

from model.generator.lattice import Lattice
from model.generator.rows import taken


class Nodes:
    """The nodes of G prefixes for each of B products, slot by slot.

    now: (B, G) int64, or (B, 1) where all prefixes stand at the same one.
    """

    def __init__(self, lattice: Lattice, product: Tensor):
        self.now = lattice.start[product][:, None]
        closed = lattice.closed
        self._closed = None if closed is None else taken(closed, product)[:, :, None]
        self._lattice, self._after = lattice, self.now

    def barred(self, slot: int) -> Tensor:
        """(B, G or 1, K + 1) bool: options that are not allowed in this slot."""
        if self._closed is not None:
            return self._closed[:, slot]
        self._after = self._lattice.after(self.now)
        return self._after < 0

    def follow(self, kept: Tensor) -> None:
        """On to the next slot with these of the G x (K + 1) ways (B, W)."""
        if self._closed is not None:
            self.now = self.now + 1
        else:
            self.now = self._after.flatten(1).gather(1, kept).clamp_(min=0)


def passed(
    lattice: Lattice, product: Tensor, options: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(nodes (B, G, S) that options (B, G, S) lead through, which options are barred there
    (B, G or 1, S, K + 1), which ways end at the end (B, G), None = those without a barred option).

    -1, where a barred option leads to, is the last node, and that leads nowhere.
    """
    node = lattice.start[product][:, None]
    if lattice.closed is not None:
        nodes = node + torch.arange(lattice.slots, device=node.device)
        barred = taken(lattice.closed, product)[:, None]
        return nodes[:, None].expand(options.shape), barred, None
    found, node = [], node.expand(options.shape[:2])
    for slot in range(lattice.slots):
        found.append(node)
        node = lattice.step[node, options[:, :, slot]]
    nodes = torch.stack(found, 2)
    return nodes, lattice.after(nodes) < 0, node >= 0
