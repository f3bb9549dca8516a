"""Some products' candidates as the reward network read them, kept for the next request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from model.reward.encoding import Encoding
from model.reward.network import Batch, Outputs, RewardNetwork
from model.reward.pieces import Pieces, Scale


@dataclass(frozen=True, eq=False)
class Shelf:
    """What m candidates of P products contribute, and where they stand: `place` (P, S, K).

    product (P,): the products' codes.
    """

    network: RewardNetwork
    encoding: Encoding
    scale: Scale  # of the products, its worth (P,)
    outputs: Outputs
    history: Tensor  # (m, H)
    place: Tensor
    present: Tensor  # (P, S, K) bool
    product: Tensor

    def pieces(self, product: np.ndarray, context: Mapping[str, np.ndarray]) -> Pieces:
        """What any combination of the candidates needs, for requests of products (B,) here."""
        which = torch.from_numpy(product)
        batch = Batch(
            element=self.place[which],
            product=self.product[which],
            context=torch.from_numpy(self.encoding.context_rows(context, len(product))),
            history=self.history,
        )
        scale = replace(self.scale, worth=self.scale.worth[which])
        with torch.no_grad():
            return Pieces.of(self.network, self.outputs, batch, self.present[which], scale)

    def take(self, product: int, options: int) -> "Shelf":
        """One product alone, with at most so many candidates in a slot."""
        present = self.present[product : product + 1, :, :options]
        used = torch.unique(self.place[product, :, :options][present[0]])
        place = torch.searchsorted(used, self.place[product : product + 1, :, :options])
        outputs = Outputs(*(part[used] for part in _parts(self.outputs)))
        one = slice(product, product + 1)
        return Shelf(
            self.network,
            self.encoding,
            replace(self.scale, worth=self.scale.worth[one]),
            outputs,
            self.history[used],
            place.clamp(max=len(used) - 1),
            present,
            self.product[one],
        )

    @staticmethod
    def join(shelves: Sequence["Shelf"]) -> "Shelf":
        """Several shelves of one network side by side, products in their order."""
        widest = max(shelf.place.shape[2] for shelf in shelves)
        sizes = [len(shelf.history) for shelf in shelves]
        firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()
        pairs = zip(shelves, firsts, strict=True)
        parts = zip(*(_parts(shelf.outputs) for shelf in shelves), strict=True)
        return Shelf(
            shelves[0].network,
            shelves[0].encoding,
            replace(shelves[0].scale, worth=torch.cat([shelf.scale.worth for shelf in shelves])),
            Outputs(*(torch.cat(part) for part in parts)),
            torch.cat([shelf.history for shelf in shelves]),
            torch.cat([_wide(shelf.place + first, widest) for shelf, first in pairs]),
            torch.cat([_wide(shelf.present, widest) for shelf in shelves]),
            torch.cat([shelf.product for shelf in shelves]),
        )


def _parts(outputs: Outputs) -> tuple[Tensor, Tensor, Tensor]:
    return outputs.term, outputs.pair, outputs.context


def _wide(cards: Tensor, options: int) -> Tensor:
    """(P, S, K) padded with zeros to `options` candidates."""
    missing = options - cards.shape[2]
    return torch.nn.functional.pad(cards, (0, missing)) if missing else cards
