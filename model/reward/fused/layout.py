"""How a log lies on the device for the fused step: rows by product, each product's elements together.

Elements are numbered anew, so that a product's are neighbours; a row then names an element by its
place among its product's, in two bytes. What never changes while learning is laid out once.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs
from model.reward.network import HEADS, RewardNetwork
from model.reward.rows import Rows

MOST_WINDOW, MOST_COLUMNS, MOST_MEMBERS, MOST_CONTEXT = 128, 128, 8, 128
LEAST = 16  # of an axis of a matrix product


@dataclass(frozen=True)
class Sizes:
    """Axes of the step, the padded ones powers of 2: columns of the table, outs (log-odds of a row),
    window (elements of a product), told (context columns and the history's)."""

    members: int
    rank: int
    factors: int
    width: int
    columns: int
    outs: int
    slots: int
    products: int
    elements: int
    window: int
    context: int
    told: int

    @property
    def odds(self) -> int:
        """Log-odds of a row: of a click and of a conversion, for each member."""
        return HEADS * self.members

    @property
    def pair_end(self) -> int:
        return self.odds + self.members * self.rank


@dataclass(frozen=True, eq=False)
class Held:
    """The log by product: local (n, S) int16 place of an element in its product's window, -1
    absent; context (n, C); counts (n,), weight (n, M); group (n,) int32, ascending; place (n,) where
    a row of the log as given lies here.

    Of products: first element, how many, code (P,), and known (P,), 0 for those without a term.
    """

    sizes: Sizes
    inputs: ElementInputs
    local: Tensor
    context: Tensor
    clicks: Tensor
    displays: Tensor
    bought: Tensor
    mature: Tensor
    converted: Tensor
    weight: Tensor
    group: Tensor
    place: Tensor
    first: Tensor
    count: Tensor
    code: Tensor
    known: Tensor

    @property
    def exact(self) -> bool:
        """Whether contexts lie here in 2 bytes."""
        return self.context.dtype == torch.bfloat16


ROWS = ("local", "context", "clicks", "displays", "bought", "mature", "converted", "weight")


def bare(held: Held) -> Held:
    """Without what it holds of rows but their group and place: records hold it."""
    empty = {name: getattr(held, name) for name in ROWS}
    return replace(held, **{n: part.new_empty(0, *part.shape[1:]) for n, part in empty.items()})


def power(size: int) -> int:
    """The least power of 2 that holds so many, LEAST at least."""
    return max(LEAST, 1 << max(size - 1, 0).bit_length())


def owners(rows: Rows, elements: int) -> Tensor | None:
    """(m,) the group that shows each element, -1 where none does; None where two groups show one."""
    shown = rows.batch.element
    group = rows.group[:, None].expand_as(shown)
    at = torch.where(shown >= 0, shown, elements)
    owner = torch.full((elements + 1,), -1, dtype=torch.int64, device=shown.device)
    lowest = owner.scatter_reduce(0, at.flatten(), group.flatten(), "amin", include_self=False)
    highest = owner.scatter_reduce(0, at.flatten(), group.flatten(), "amax", include_self=False)
    same = bool((lowest[:-1] == highest[:-1]).all())
    return highest[:-1] if same else None


def unfit(network: RewardNetwork, rows: Rows, inputs: ElementInputs, config: RewardConfig) -> str:
    """Why the fused step can't learn this; empty where it can."""
    width = rows.batch.context.shape[1] + rows.batch.history.shape[2]
    if network.heads != HEADS:
        return "values are learned"
    if config.id_dropout > 0:
        return "ids are dropped"
    if network.members > MOST_MEMBERS or network.width > MOST_COLUMNS:
        return f"{network.members} members of {network.width} columns in all"
    if width > MOST_CONTEXT:
        return f"{width} context columns"
    if len(torch.unique(inputs.own)) < len(inputs.own):
        return "elements share an id"
    owner = owners(rows, len(inputs.own))
    if owner is None:
        return "products share elements"
    most = int(torch.bincount(owner[owner >= 0]).max()) if bool((owner >= 0).any()) else 0
    return f"a product of {most} elements" if most > MOST_WINDOW else ""


def held(network: RewardNetwork, rows: Rows, inputs: ElementInputs, owner: Tensor) -> Held:
    """The log laid out; owner (m,) as of `owners`."""
    device = rows.clicks.device
    order = torch.argsort(rows.group, stable=True)
    products = int(rows.group.max()) + 1
    owned = torch.where(owner < 0, products, owner)
    elements = torch.argsort(owned, stable=True)
    at = torch.empty_like(elements)
    at[elements] = torch.arange(len(elements), device=device)
    count = torch.bincount(owned, minlength=products + 1)[:products]
    first = count.cumsum(0) - count
    shown = rows.batch.element.long()
    local = torch.where(shown >= 0, at[shown.clamp(min=0)] - first[rows.group][:, None], -1)
    context = _contexts(rows, shown)
    code = torch.zeros(products, dtype=torch.int64, device=device)
    code[rows.group] = rows.batch.product
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=device)
    counted = {
        name: getattr(rows, source)[order].float()
        for name, source in (
            ("clicks", "clicks"),
            ("displays", "displays"),
            ("bought", "conversions"),
            ("mature", "mature"),
            ("converted", "converted"),
            ("weight", "weight"),
        )
    }
    return Held(
        sizes=_sizes(network, shown.shape[1], products, count, context),
        inputs=inputs.take(elements),
        local=local[order].short(),
        context=context[order],
        **counted,
        group=rows.group[order].int(),
        place=place,
        first=first.int(),
        count=count.int(),
        code=code.int(),
        known=(code > 0).float(),
    )


def _contexts(rows: Rows, shown: Tensor) -> Tensor:
    """(n, C) contexts and the history of the elements shown, in 2 bytes where these hold it."""
    told = (rows.batch.history.float() * (shown >= 0)[..., None]).sum(1)
    whole = torch.cat([rows.batch.context.float(), told], dim=1)
    half = whole.bfloat16()
    return half if torch.equal(half.float(), whole) else whole


def _sizes(
    network: RewardNetwork, slots: int, products: int, count: Tensor, context: Tensor
) -> Sizes:
    return Sizes(
        network.members, network.rank, network.context_rank, network.width,
        power(network.width), power(HEADS * network.members), slots, products,
        len(network.own) - 1, power(int(count.max())), context.shape[1], power(context.shape[1]),
    )  # fmt: skip
