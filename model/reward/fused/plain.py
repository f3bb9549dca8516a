"""The functions of the kernels in torch: what runs without triton, and what kernels are held to."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.processes import Processes
from model.reward.fused.layout import Held, Sizes
from model.reward.fused.pooled import Pool
from model.reward.fused.told import Told


def shares(sizes: Sizes, device: torch.device) -> Tensor:
    """(width, odds) 1 where a column of the table adds to a log-odds."""
    m, r, q = sizes.members, sizes.rank, sizes.factors
    member = torch.arange(m, device=device)
    to = torch.cat(
        [torch.arange(sizes.odds, device=device), *(member.repeat_interleave(n) for n in (r, q))]
    )
    return F.one_hot(to, sizes.odds).float()


@dataclass(frozen=True)
class Asked:
    """Of the loss: the comparison's share, whether conversions are learned, and what it is times."""

    comparison: float
    converts: bool
    scale: float


class TwoPasses(ABC):
    """Rows that are read twice: for the level of each product, then for the gradients."""

    @abstractmethod
    def levels(self, table: Tensor, told: Told, order: Tensor) -> tuple[Tensor, Tensor]:
        """(P, outs) log mass of each product's rows, and their weighted clicks, for members."""

    @abstractmethod
    def gradients(
        self, table: Tensor, told: Told, order: Tensor, level: Tensor, fell: Tensor,
        asked: Asked, table_grad: Tensor, loss_to: Tensor,
    ) -> None:  # fmt: skip
        """What `learn` writes, given each product's level and clicks."""

    def learn(
        self, table: Tensor, told: Told, order: Tensor, asked: Asked, table_grad: Tensor,
        loss_to: Tensor, processes: Processes,
    ) -> None:  # fmt: skip
        """Writes () `scale` times the loss of the order's rows to loss_to, and its gradients: table
        (E, columns), and those of `told`."""
        level, fell = self.levels(table, told, order)
        if processes.count > 1:
            every = processes.gathered(torch.stack([level, fell]))
            level, fell = every[:, 0].logsumexp(0), every[:, 1].sum(0)
        self.gradients(table, told, order, level, fell, asked, table_grad, loss_to)


class PlainRows(TwoPasses):
    """Loss and gradients of a batch of rows, by the formulas of network.py and loss.py."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.shares = shares(held.sizes, held.clicks.device)

    def tell(self, told: Told) -> None:
        """Weights of contexts and products as they now are."""
        told.tell()

    def hold(self, starts: Tensor) -> None:
        """Learns from a batch whose product p begins at starts[p]: its order says the same."""

    def levels(self, table: Tensor, told: Told, order: Tensor) -> tuple[Tensor, Tensor]:
        held, m = self.held, self.held.sizes.members
        odds = self._odds(table, told, order)[2]
        group, weight = held.group[order].long(), held.weight[order] * held.mature[order, None]
        exposed = held.displays[order, None].clamp(min=1e-9).log() + weight.clamp(min=1e-9).log()
        exposed = exposed + odds[:, :m]
        shape = (held.sizes.products, held.sizes.outs)
        index = group[:, None].expand_as(exposed)
        peak = exposed.new_full(shape, -torch.inf)
        peak[:, :m] = peak[:, :m].scatter_reduce(0, index, exposed, "amax")
        mass, fell = exposed.new_zeros(shape), exposed.new_zeros(shape)
        mass[:, :m].index_add_(0, group, (exposed - peak[group][:, :m]).exp())
        fell[:, :m].index_add_(0, group, weight * held.clicks[order, None])
        return mass.log() + peak, fell

    def gradients(
        self, table: Tensor, told: Told, order: Tensor, level: Tensor, fell: Tensor,
        asked: Asked, table_grad: Tensor, loss_to: Tensor,
    ) -> None:  # fmt: skip
        comparison, scale, to = asked.comparison, asked.scale, told.to
        held, m, width = self.held, self.held.sizes.members, self.held.sizes.width
        added, seen, odds = self._odds(table, told, order)
        group, weight = held.group[order].long(), held.weight[order]
        own = told.product[group][:, : 2 * m]
        clicks, displays = held.clicks[order, None], held.displays[order, None]
        closed = weight * held.converted[order, None] * float(asked.converts)
        share = torch.cat([weight * held.mature[order, None], closed], dim=1)
        events = torch.cat([clicks.expand(-1, m), held.bought[order, None].expand(-1, m)], dim=1)
        trials = torch.cat([displays.expand(-1, m), clicks.expand(-1, m)], dim=1)
        part = torch.cat([odds.new_full((m,), 1 - comparison), odds.new_ones(m)])
        whole = odds + own
        loss = (share * (trials * F.softplus(whole) - events * whole) * part).sum()
        down = share * (trials * whole.sigmoid() - events) * part
        top, here = level[group][:, :m], fell[group][:, :m]
        exposed = displays.clamp(min=1e-9).log() + share[:, :m].clamp(min=1e-9).log() + odds[:, :m]
        counted = share[:, :m] * clicks
        loss = loss + comparison * (counted * (top - odds[:, :m])).sum()
        apart = comparison * (here * (exposed - top).exp() - counted)
        dodds = scale * (down + F.pad(apart, (0, m)))
        dz, ends = dodds @ self.shares.T, (2 * m, held.sizes.pair_end)
        context = seen @ told.weights[: held.sizes.context, :width]
        dadded = dz.clone()
        dadded[:, ends[0] : ends[1]] *= added[:, ends[0] : ends[1]]
        dadded[:, ends[1] :] *= context[:, ends[1] :]
        dtold = dz.clone()
        dtold[:, ends[0] : ends[1]] = 0
        dtold[:, ends[1] :] *= added[:, ends[1] :]
        at, there = self._elements(order)
        table_grad.zero_()
        for slot in range(at.shape[1]):
            kept = dadded * there[:, slot, None]
            table_grad[:, :width].index_add_(0, at[:, slot], kept)
        told.grad.zero_()
        told.grad[: held.sizes.context, :width] = seen.T @ dtold
        told.spread()
        known = held.known[group, None] * scale
        to["product"].zero_()
        to["product"].flatten(1).index_add_(0, held.code[group].long(), down * known)
        to["bias"].copy_(dodds.sum(0).reshape(to["bias"].shape))
        loss_to.copy_(scale * loss)

    def _elements(self, order: Tensor) -> tuple[Tensor, Tensor]:
        local = self.held.local[order].long()
        first = self.held.first[self.held.group[order].long()].long()
        return first[:, None] + local.clamp(min=0), (local >= 0).float()

    def _odds(self, table: Tensor, told: Told, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, width) what elements add, contexts (n, C), and log-odds (n, odds) without products."""
        sizes = self.held.sizes
        at, there = self._elements(order)
        added = (table[at][..., : sizes.width] * there[..., None]).sum(1)
        seen = self.held.context[order].float()
        context = seen @ told.weights[: sizes.context, : sizes.width]
        a, b = sizes.odds, sizes.pair_end
        z = [added[:, :a] + context[:, :a], 0.5 * added[:, a:b].square()]
        z.append(added[:, b:] * context[:, b:])
        return added, seen, torch.cat(z, dim=1) @ self.shares + told.bias[: sizes.odds]


def pooled(pool: Pool, table: Tensor, out: Tensor, width: int) -> None:
    """The sums (rows, width) of a table's first columns."""
    out.zero_()
    part = table[pool.source.long(), :width] * pool.weight[:, None]
    out[:, :width].index_add_(0, pool.target, part)


def placed(
    sizes: Sizes, found: Tensor, own: Tensor, shared: Tensor, words: Tensor, slot: Tensor,
    out: Tensor,
) -> None:  # fmt: skip
    """out (E, columns) of what dense columns (E, width), ids (E, width), n-grams (E, odds) and slots
    (E, odds) add, with half of their squared pairs taken off a click's terms."""
    whole = found + own + shared
    whole[:, : sizes.odds] += words[:, : sizes.odds] + slot
    pair = whole[:, sizes.odds : sizes.pair_end]
    squares = pair.square().reshape(len(pair), sizes.members, sizes.rank).sum(2)
    whole[:, : sizes.members] -= 0.5 * squares
    out.zero_()
    out[:, : sizes.width] = whole


def unplaced(sizes: Sizes, grad: Tensor, table: Tensor, out: Tensor) -> None:
    """out (E, width): gradient of the sum in `placed`."""
    out.copy_(grad[:, : sizes.width])
    click = grad[:, : sizes.members].repeat_interleave(sizes.rank, dim=1)
    out[:, sizes.odds : sizes.pair_end] -= click * table[:, sizes.odds : sizes.pair_end]
