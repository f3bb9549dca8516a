"""Rewards of many combinations of the same candidates, without asking the network again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.reward.members import mode, spread
from model.reward.network import VALUE

CHANCE = 1  # the conversion head


@dataclass(frozen=True, eq=False)
class Scale:
    """Calibration, what is earned, and the mean value of a conversion (B,).

    direct: clicks are unknown, the first head speaks of conversions and the second of nothing.
    """

    slope: float
    shift: float
    target: str
    worth: Tensor
    direct: bool = False

    def earned(self, event: Tensor, chance: Tensor, value: Tensor | None) -> Tensor:
        """What a display earns, as a factor of the chance of its event (B, ...), from the log-odds
        of a conversion after it and the log of what it is worth against its product's mean."""
        factor = torch.ones_like(event) if self.direct else torch.sigmoid(chance)
        if self.target == "value":
            worth = self.worth.to(factor.dtype).reshape(-1, *[1] * (factor.dim() - 1))
            factor = factor * (worth if value is None else worth * torch.exp(value))
        return factor

    def reward(self, heads: Sequence[Tensor]) -> Tensor:
        """(B, ...) what is earned where one member's heads say (B, ...), not yet calibrated."""
        event = torch.sigmoid(self.slope * heads[0] + self.shift)
        if self.target == "click":
            return event
        value = heads[VALUE] if len(heads) > VALUE else None
        return event * self.earned(event, heads[CHANCE], value)


@dataclass(frozen=True, eq=False)
class Pieces:
    """For B contexts with K candidates in each of S slots and M members.

    base (B, M, heads); unary (B, S, K, M, heads), factor (B, S, K, M, R); padding is 0. like: of
    each drawn reward, a number that those with the same factors share.
    """

    base: Tensor
    unary: Tensor
    factor: Tensor
    scale: Scale
    like: tuple[int, ...] = ()

    def score(self, combinations: Tensor) -> tuple[Tensor, Tensor]:
        """(B, G) mean reward and its spread over members, of combinations (B, G, S) int64.

        Entries are indices into K, -1 for an absent slot.
        """
        present = (combinations >= 0).to(self.unary.dtype)[..., None]
        at = combinations.clamp(min=0)
        b = torch.arange(at.shape[0], device=at.device)[:, None]
        heads = list(self.base[:, None, :, : self.heads].unbind(-1))
        total = square = torch.zeros((), device=at.device)
        for slot in range(at.shape[2]):
            here, k = present[:, :, slot], at[:, :, slot]
            unary = self.unary[b, slot, k] * here[..., None]
            heads = [head + unary[..., h] for h, head in enumerate(heads)]
            factor = self.factor[b, slot, k] * here[..., None]
            total, square = total + factor, square + factor.square()
        heads[0] = heads[0] + 0.5 * (total.square() - square).sum(-1)
        return self._earned(heads)

    def mean(self, combinations: Tensor) -> Tensor:
        """(B, G) mean reward of combinations (B, G, S), as `score` has it, without the spread."""
        requests, _, slots = combinations.shape
        options, there = self.unary.shape[2], combinations >= 0
        first = torch.arange(requests * slots, device=there.device).view(requests, 1, slots)
        at = (first * options + combinations.clamp(min=0)).flatten()
        real = there.to(self.unary.dtype)[..., None]
        own, pair = mode(self.unary, 3)[..., : self.heads], mode(self.factor, 3)
        unary = own.flatten(0, 2)[at].view(*there.shape, -1) * real
        factor = pair.flatten(0, 2)[at].view(*there.shape, -1) * real
        heads = list((unary.sum(2) + mode(self.base, 1)[:, None, : self.heads]).unbind(-1))
        heads[0] = heads[0] + 0.5 * (factor.sum(2).square() - factor.square().sum(2)).sum(-1)
        return self.scale.reward(heads)

    def singles(self) -> tuple[Tensor, Tensor]:
        """(B, S, K) mean reward and spread of each candidate shown alone, as `score` has them."""
        each = self.base[:, None, None, :, : self.heads] + self.unary[..., : self.heads]
        mean, spread = self._earned(list(each.flatten(1, 2).unbind(-1)))
        return mean.view(each.shape[:3]), spread.view(each.shape[:3])

    def drawn(self, deviation: float) -> tuple[int, "Pieces"]:
        """(D, pieces (D x B) of one member each): two rewards for each member off the mode.

        Own terms lie this share of the way to the member, and as far away from it. What pairs add
        lies this share of the way to what they add for the member, or for the next one: between
        products, not between factors, since where both are near 0 a step in factors would vanish.
        """
        others = self.base.shape[1] - 1
        step = deviation * torch.tensor([1.0, -1.0], dtype=self.base.dtype, device=self.base.device)

        def moved(part: Tensor, axis: int) -> Tensor:
            first = part.narrow(axis, 0, 1)
            off = (part.narrow(axis, 1, others) - first).movedim(axis, 0)
            each = first.movedim(axis, 0) + step.view(2, 1, *[1] * (part.dim() - 1)) * off
            return each.flatten(0, 2).unsqueeze(axis)

        first, rest = self.factor[..., :1, :], self.factor[..., 1:, :]
        share = min(deviation, 1.0)
        mixed = [
            torch.cat([(1 - share) ** 0.5 * first.expand_as(rest), share**0.5 * other], dim=-1)
            for other in (rest, rest.roll(-1, 3))
        ]
        factor = torch.stack([one.movedim(3, 0) for one in mixed]).flatten(0, 2).unsqueeze(3)
        scale = replace(self.scale, worth=self.scale.worth.repeat(2 * others))
        like = tuple((member + turn) % others for turn in (0, 1) for member in range(others))
        own = moved(self.base, 1), moved(self.unary, 3)
        return 2 * others, Pieces(*own, factor, scale, like)

    @property
    def heads(self) -> int:
        """How many heads the target needs."""
        return 1 if self.scale.target == "click" else self.base.shape[-1]

    def _earned(self, heads: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Heads (B, G, M)."""
        each = torch.sigmoid(self.scale.slope * heads[0] + self.scale.shift)
        mean, doubt = mode(each), spread(each)
        if self.scale.target == "click":
            return mean, doubt
        value = mode(heads[VALUE]) if len(heads) > VALUE else None
        factor = self.scale.earned(mean, mode(heads[CHANCE]), value)
        return mean * factor, doubt * factor

    def take(self, rows: Tensor) -> "Pieces":
        """These contexts, in their order."""
        scale = replace(self.scale, worth=self.scale.worth[rows])
        return Pieces(self.base[rows], self.unary[rows], self.factor[rows], scale)
