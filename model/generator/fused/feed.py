"""Training's requests in fixed buffers, filled anew before every step."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from model.generator.fused.policy import Paths, Requests
from model.generator.ground import Ground
from model.generator.policy import Hide
from model.reward.pieces import Pieces


class Feed:
    """A fixed number of requests of a training run's pool, on its device."""

    def __init__(self, ground: Ground, size: int):
        self._ground = ground
        shelf, device = ground.shelf, ground.lattice.step.device
        place = torch.from_numpy(shelf.place).flatten(1).to(device)
        self._present, self._place = place >= 0, place.clamp(min=0)
        self._product = torch.from_numpy(shelf.product).to(device)
        nothing = Hide(
            torch.zeros(size, dtype=torch.bool, device=device),
            torch.zeros(size, place.shape[1], dtype=torch.bool, device=device),
        )
        rows = np.arange(size)
        self.requests = self._taken(rows, torch.from_numpy(rows).to(device), nothing)

    def fill(self, at: np.ndarray, hide: Hide) -> None:
        """The pool's rows `at` (B,) are the requests now; `hide` is of their distinct products."""
        product = self._ground.pool.product[at]
        which = torch.from_numpy(np.unique(product, return_inverse=True)[1])
        here = torch.from_numpy(at).to(self._place.device)
        fresh = self._taken(at, here, hide.take(which.to(self._place.device)))
        for held, new in zip(_tensors(self.requests), _tensors(fresh), strict=True):
            held.copy_(new)

    def _taken(self, at: np.ndarray, here: Tensor, hide: Hide) -> Requests:
        """Rows of the pool as requests; `hide` (B,) and (B, S x K) of each."""
        ground, pool, inputs = self._ground, self._ground.pool, self._ground.shelf.inputs
        lattice = ground.lattice
        which = torch.from_numpy(pool.product[at]).to(here.device)
        place = self._place[which]
        pieces = pool.pieces
        assert isinstance(pieces, Pieces), "the fused step is taken for these only"
        return Requests(
            dense=inputs.dense[place],
            identity=inputs.identity[place],
            present=self._present[which],
            product=self._product[which],
            context=pool.context[here],
            hint=pool.hint[here],
            paths=Paths(lattice.step, lattice.start[which], lattice.slots),
            log_count=lattice.log_count[which].float(),
            pieces=pieces.take(here),
            tokens=inputs.tokens[place],
            known=ground.known[which],
            new=hide.product.clone(),
            hidden=hide.candidate.clone(),
        )


def _tensors(requests: Requests) -> Iterator[Tensor]:
    """What differs between the requests of two steps, in an order of its own."""
    yield from (part for part in vars(requests).values() if isinstance(part, Tensor))
    pieces = requests.pieces
    yield from (requests.paths.start, pieces.base, pieces.unary, pieces.factor, pieces.scale.worth)
