"""What some products' candidates add to the log-odds, kept for the next request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.reward.encoding import Encoding
from model.reward.network import Outputs, RewardNetwork
from model.reward.pieces import Pieces, Scale


@dataclass(frozen=True, eq=False)
class Shelf:
    """P products with up to K candidates in each of S slots and M members; padding is 0.

    base (P, M, heads), unary (P, S, K, M, heads), factor (P, S, K, M, R): as in Pieces, without the
    context. affinity (P, S, K, M, Q): what a context is met with.
    """

    network: RewardNetwork
    encoding: Encoding
    scale: Scale  # of the products, its worth (P,)
    base: Tensor
    unary: Tensor
    factor: Tensor
    affinity: Tensor

    @staticmethod
    def of(
        network: RewardNetwork,
        encoding: Encoding,
        scale: Scale,
        cards: Tensor,
        product: Tensor,
        element: Tensor,
    ) -> "Shelf":
        """element (P, S, K): each candidate's place in `cards_of`, -1 padding; product (P,) codes."""
        real = (element >= 0).to(cards.dtype)[..., None, None]
        seen = (product > 0).to(cards.dtype)[:, None, None]
        base = network.bias + network.product[product] * seen
        widths = (network.heads, network.rank, network.context_rank)
        held = cards[element.clamp(min=0)] * real
        unary, factor, affinity = held.split(widths, dim=-1)
        return Shelf(network, encoding, scale, base.transpose(1, 2), unary, factor, affinity)

    def pieces(self, product: np.ndarray, context: Mapping[str, np.ndarray]) -> Pieces:
        """What any combination of the candidates needs, for requests of products (B,) here."""
        known = torch.from_numpy(self.encoding.context_rows(context, len(product)))
        device = self.base.device
        return self.met(torch.from_numpy(product).to(device), known.to(device))

    @torch.no_grad()
    def met(self, which: Tensor, known: Tensor) -> Pieces:
        """The pieces of products `which` (B,) in encoded contexts (B, C)."""
        network = self.network
        told, mixing = network.context.flatten(1), network.mixing.flatten(1)
        added = (known @ told).view(len(which), *network.context.shape[1:]).transpose(1, 2)
        mixed = (known @ mixing).view(len(which), 1, 1, *network.mixing.shape[1:])
        unary = self.unary[which]
        unary[..., 0] += (self.affinity[which] * mixed).sum(-1)
        scale = replace(self.scale, worth=self.scale.worth[which])
        return Pieces(self.base[which] + added, unary, self.factor[which], scale)

    def take(self, product: int, options: int) -> "Shelf":
        """One product alone, with at most so many candidates in a slot."""
        one = slice(product, product + 1)
        cards = (
            part[one, :, :options].clone() for part in (self.unary, self.factor, self.affinity)
        )
        names = ("unary", "factor", "affinity")
        return replace(
            self,
            base=self.base[one].clone(),
            scale=replace(self.scale, worth=self.scale.worth[one].clone()),
            **dict(zip(names, cards, strict=True)),
        )

    def beside(self, others: Sequence["Shelf"]) -> "Shelf":
        """This shelf and others of the same network, products in their order."""
        shelves = [self, *others]
        widest = max(shelf.unary.shape[2] for shelf in shelves)
        return replace(
            self,
            base=torch.cat([shelf.base for shelf in shelves]),
            unary=torch.cat([_wide(shelf.unary, widest) for shelf in shelves]),
            factor=torch.cat([_wide(shelf.factor, widest) for shelf in shelves]),
            affinity=torch.cat([_wide(shelf.affinity, widest) for shelf in shelves]),
            scale=replace(self.scale, worth=torch.cat([s.scale.worth for s in shelves])),
        )


def cards_of(network: RewardNetwork, outputs: Outputs, history: Tensor) -> Tensor:
    """(m, M, heads + R + Q): what each element adds by itself, its history (m, H) told; its factor
    of interactions; what a context is met with."""
    term = outputs.term
    if history.shape[1]:
        term = term + torch.einsum("eh,hkm->emk", history, network.history)
    return torch.cat([term, outputs.pair, outputs.context], dim=2)


def _wide(cards: Tensor, options: int) -> Tensor:
    """(P, S, K, M, n) padded with zeros to `options` candidates."""
    missing = options - cards.shape[2]
    return functional.pad(cards, (0, 0, 0, 0, 0, missing)) if missing else cards
