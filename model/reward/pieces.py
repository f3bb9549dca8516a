"""Rewards of many combinations of the same candidates, without asking the network again."""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.reward.members import mode, spread
from model.reward.network import Batch, Outputs, RewardNetwork

CHANCE = 1  # the conversion head


@dataclass(frozen=True, eq=False)
class Scale:
    """Calibration, what is earned, and the mean value of a conversion (B,)."""

    slope: float
    shift: float
    target: str
    worth: Tensor


@dataclass(frozen=True, eq=False)
class Pieces:
    """For B contexts with K candidates in each of S slots and M members.

    base (B, M, heads); unary (B, S, K, M, heads), factor (B, S, K, M, R); padding is 0.
    """

    base: Tensor
    unary: Tensor
    factor: Tensor
    scale: Scale

    @staticmethod
    def of(
        network: RewardNetwork, outputs: Outputs, batch: Batch, present: Tensor, scale: Scale
    ) -> "Pieces":
        """batch.element (B, S, K) places in outputs; batch.history (m, H) by place."""
        real = present.to(outputs.term.dtype)[..., None]
        known = torch.einsum("eh,hkm->emk", batch.history, network.history)
        unary = (outputs.term + known)[batch.element]
        mixed = torch.einsum("bc,cmq->bmq", batch.context, network.mixing)
        affinity = torch.einsum("bskmq,bmq->bskm", outputs.context[batch.element], mixed)
        unary[..., 0] = unary[..., 0] + affinity
        seen = (batch.product > 0).to(real.dtype)[:, None, None]
        base = network.bias + network.product[batch.product] * seen
        base = base + torch.einsum("bc,chm->bhm", batch.context, network.context)
        factor = outputs.pair[batch.element] * real[..., None]
        return Pieces(base.transpose(1, 2), unary * real[..., None], factor, scale)

    def score(self, combinations: Tensor) -> tuple[Tensor, Tensor]:
        """(B, G) mean reward and its spread over members, of combinations (B, G, S) int64.

        Entries are indices into K, -1 for an absent slot.
        """
        present = (combinations >= 0).to(self.unary.dtype)[..., None]
        at = combinations.clamp(min=0)
        b = torch.arange(at.shape[0], device=at.device)[:, None]
        click = self.base[:, None, :, 0]
        chance = self.base[:, None, :, CHANCE]
        total = square = torch.zeros((), device=at.device)
        for slot in range(at.shape[2]):
            here, k = present[:, :, slot], at[:, :, slot]
            unary = self.unary[b, slot, k] * here[..., None]
            click, chance = click + unary[..., 0], chance + unary[..., CHANCE]
            factor = self.factor[b, slot, k] * here[..., None]
            total, square = total + factor, square + factor.square()
        click = click + 0.5 * (total.square() - square).sum(-1)
        return self._earned(self.scale.slope * click + self.scale.shift, chance)

    def singles(self) -> tuple[Tensor, Tensor]:
        """(B, S, K) mean reward and spread of each candidate shown alone, as `score` has them."""
        click = self.base[:, None, None, :, 0] + self.unary[..., 0]
        chance = self.base[:, None, None, :, CHANCE] + self.unary[..., CHANCE]
        shape, flat = click.shape[:3], (click.flatten(1, 2), chance.flatten(1, 2))
        mean, spread = self._earned(self.scale.slope * flat[0] + self.scale.shift, flat[1])
        return mean.view(shape), spread.view(shape)

    def _earned(self, click: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        each = torch.sigmoid(click)
        mean, doubt = mode(each), spread(each)
        if self.scale.target == "click":
            return mean, doubt
        factor = torch.sigmoid(mode(chance))
        if self.scale.target == "value":
            factor = factor * self.scale.worth[:, None]
        return mean * factor, doubt * factor

    def take(self, rows: Tensor) -> "Pieces":
        """These contexts, in their order."""
        scale = Scale(self.scale.slope, self.scale.shift, self.scale.target, self.scale.worth[rows])
        return Pieces(self.base[rows], self.unary[rows], self.factor[rows], scale)
