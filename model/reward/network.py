"""The additive multi-instance network: log-odds of a bag from its instances, all members at once.

    z = bias + product + context + sum_s element_s + sum_s<t <u_s, u_t> + sum_s <v_s, W c>

A second head says the same of a conversion after a click, and a third, where values are learned,
of the log of a conversion's worth (value.py); they have no interactions.

An element's term is linear in what is known of it: hashed n-grams, embeddings and their kernel
features (smooth.py), ids, history; its
interaction factor u and context factor v are linear in embeddings and ids. Members of the ensemble
differ in their start and in the weight that each cluster has for them (fit.py).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs, Encoding

HEADS = 2  # click, conversion after a click
VALUE = 2  # the third head, where there is one: log of what a conversion is worth
TABLES = 2  # that an element's factor is the sum of: its id's, and that of its content


@dataclass(frozen=True, eq=False)
class Outputs:
    """What m elements contribute, for M members: term (m, M, heads), pair (m, M, R), context
    (m, M, Q)."""

    term: Tensor
    pair: Tensor
    context: Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """n bags: element (n, S) places in an Outputs, -1 absent; product (n,), context (n, C),
    history (n, S, H)."""

    element: Tensor
    product: Tensor
    context: Tensor
    history: Tensor


@dataclass(frozen=True, eq=False)
class Terms:
    """Parts of the log-odds of n bags: base (M,), product and context (n, M), element and
    pair (n, S, M), pair being each element's half of its interactions."""

    base: Tensor
    product: Tensor
    context: Tensor
    element: Tensor
    pair: Tensor

    def total(self) -> Tensor:
        """(n, M) log-odds."""
        return self.base + self.product + self.context + self.element.sum(1) + self.pair.sum(1)


class RewardNetwork(nn.Module):
    """The members' weights, the member being the second to last or last axis of each."""

    def __init__(self, encoding: Encoding, config: RewardConfig, heads: int = HEADS) -> None:
        super().__init__()
        m, r, q = config.members, config.interaction, config.context_rank
        self.members, self.rank, self.context_rank, self.heads = m, r, q, heads
        self.width = m * (heads + r + q)
        slots, contexts = len(encoding.slots), encoding.context_width
        self.bias = nn.Parameter(torch.zeros(heads, m))
        self.slot = nn.Parameter(torch.zeros(slots, heads, m))
        self.product = nn.Parameter(torch.zeros(len(encoding.products) + 1, heads, m))
        self.context = nn.Parameter(torch.zeros(contexts, heads, m))
        self.text = nn.Parameter(torch.zeros(encoding.buckets, m * heads))
        self.dense = nn.Parameter(torch.zeros(encoding.dense_width, self.width))
        self.smooth = nn.Parameter(torch.zeros(encoding.smooth_width, m * heads))
        self.shared = nn.Parameter(torch.zeros(len(encoding.shared) + 1, self.width))
        self.own = nn.Parameter(torch.zeros(len(encoding.own) + 1, self.width))
        self.history = nn.Parameter(torch.zeros(encoding.history_width + 1, heads, m))
        self.mixing = nn.Parameter(torch.zeros(contexts, m, q))
        for name in (*self.scales(config), "mixing"):
            self.register_buffer(f"anchor_{name}", torch.zeros(()), persistent=False)

    def start(self, config: RewardConfig, generator: torch.Generator) -> None:
        """Members at their anchors (members.py), and factors a tenth of their prior off them, so
        that interactions have a gradient."""
        m, cut = self.members, self.members * self.heads
        with torch.no_grad():
            for weight in (self.own, self.shared, self.dense):
                noise = torch.randn(weight.shape, generator=generator)
                weight.copy_(0.1 * factor_scale(config) * noise)
            self.mixing.copy_(0.5 * torch.randn(self.mixing.shape, generator=generator))
            for name, scale in self.scales(config).items():
                weight = getattr(self, name)
                flat = weight[:, :cut] if weight.dim() == 2 else weight.flatten(0, -2)
                drawn = torch.randn(flat.numel() // m, m, generator=generator)
                drawn[:, 0] = 0
                flat.copy_((config.anchored * scale * drawn).reshape(flat.shape))
                setattr(self, f"anchor_{name}", flat.clone())
            self.product[0] = 0
            for name in ("own", "shared", "dense"):
                self._anchor_factors(name, config, generator)
            drawn = config.anchored * torch.randn(self.mixing.shape, generator=generator)
            drawn[:, 0] = 0
            self.mixing[:, 1:] = 0.1 * self.mixing[:, 1:] + drawn[:, 1:]
            self.anchor_mixing = drawn
            for table in (self.own, self.shared):
                table[0, cut:] = 0

    def _anchor_factors(self, name: str, config: RewardConfig, generator: torch.Generator) -> None:
        """Anchors of a table's factors beside those of its terms; the mode's are 0.

        A factor that is 0 leaves no doubt of a pair that was never shown, so drawn members have
        factors such that what two elements add, each by its id and its content, and what one adds
        in a context, have the configured scales.
        """
        weight, terms = getattr(self, name), getattr(self, f"anchor_{name}")
        factors = weight[:, terms.shape[1] :]
        drawn = torch.randn(factors.shape, generator=generator)
        ranks = (self.rank, self.context_rank)
        scales = (
            factor_scale(config) / TABLES**0.5,
            config.scale_context_element / max(self.context_rank, 1) ** 0.5,
        )
        parts = drawn.split([self.members * rank for rank in ranks], dim=1)
        for part, rank, scale in zip(parts, ranks, scales, strict=True):
            part *= config.anchored * scale
            part[:, :rank] = 0
        if name != "dense":
            drawn[0] = 0  # what was never trained on interacts with nothing
        factors += drawn  # not at the anchor itself, where rounding alone would move it
        setattr(self, f"anchor_{name}", torch.cat([terms, drawn], dim=1))

    def trust(self, place: int) -> None:
        """The click head expects a weight of 1 of the history at this place: of a shrunk lift."""
        with torch.no_grad():
            self.history[place, 0] += 1
        self.anchor_history = self.history.detach().flatten(0, -2).clone()

    @torch.no_grad()
    def quieten(self, head: int, share: float) -> None:
        """All that a head says, times `share`."""
        own = slice(head * self.members, (head + 1) * self.members)
        self.bias[head] *= share
        for weight in (self.slot, self.product, self.context, self.history):
            weight[:, head] *= share
        for weight in (self.text, self.dense, self.smooth, self.shared, self.own):
            weight[:, own] *= share

    def scales(self, config: RewardConfig) -> dict[str, float]:
        """The prior's deviation of each part's terms."""
        return {
            "slot": config.scale_slot,
            "product": config.scale_product,
            "context": config.scale_context,
            "history": config.scale_history,
            "text": config.scale_text,
            "smooth": config.scale_smooth,
            "dense": config.scale_embedding,
            "shared": config.scale_shared_id,
            "own": config.scale_id,
        }

    def elements(self, inputs: ElementInputs, keep: Tensor | None = None) -> Outputs:
        """Contributions of m elements; `keep` (m,) is 0 where the ids are dropped."""
        words = F.embedding_bag(
            inputs.grams.bucket,
            self.text,
            inputs.grams.offset[:-1],
            mode="sum",
            per_sample_weights=inputs.grams.weight.to(self.text.dtype),
        )
        words = words + inputs.smooth.to(words.dtype) @ self.smooth
        found = inputs.dense.to(words.dtype) @ self.dense
        ids = self.own[inputs.own] + self.shared[inputs.shared]
        found = found + (ids if keep is None else ids * keep[:, None])
        m, rows = self.members, len(found)
        term, pair, context = found.split(
            [m * self.heads, m * self.rank, m * self.context_rank], dim=1
        )
        placed = (term + words).reshape(rows, self.heads, m) + self.slot[inputs.slot]
        return Outputs(
            placed.transpose(1, 2),
            pair.reshape(rows, m, self.rank),
            context.reshape(rows, m, self.context_rank),
        )

    def terms(self, outputs: Outputs, batch: Batch, head: int = 0) -> Terms:
        """Parts of the log-odds of a head; only the first has interactions."""
        present = (batch.element >= 0).to(outputs.term.dtype)[..., None]
        at = batch.element.clamp(min=0)
        element = outputs.term[at][..., head] * present
        history = torch.einsum("nsh,hm->nsm", batch.history, self.history[:, head])
        element = element + history * present
        context = batch.context @ self.context[:, head]
        pair = torch.zeros_like(element)
        if head == 0:
            mixed = torch.einsum("nc,cmq->nmq", batch.context, self.mixing)
            affinity = torch.einsum("nsmq,nmq->nsm", outputs.context[at], mixed)
            element = element + affinity * present
            factor = outputs.pair[at] * present[..., None]
            others = factor.sum(1, keepdim=True) - factor
            pair = 0.5 * (factor * others).sum(-1)
        known = (batch.product > 0).to(element.dtype)[:, None]
        product = self.product[batch.product, head] * known
        return Terms(self.bias[head], product, context, element, pair)

    def logits(self, outputs: Outputs, batch: Batch, head: int = 0) -> tuple[Tensor, Tensor]:
        """(n, M) log-odds, equal to `terms(...).total()`, for training; and without the product's
        term, (n, M).

        What elements add is linear in them but for the pairs, whose sum needs only the factors'
        sum and that of their squares (Rendle 2010): so each bag's elements are summed in one pass.
        """
        m, rows = self.members, len(outputs.term)
        parts = [outputs.term[..., head]]
        if head == 0:
            squares = outputs.pair.square().sum(2)
            parts += [squares, outputs.pair.flatten(1), outputs.context.flatten(1)]
        table = torch.cat(parts, dim=1)
        table = torch.cat([table, table.new_zeros(1, table.shape[1])])
        at = torch.where(batch.element >= 0, batch.element, rows)
        added = F.embedding_bag(at, table, mode="sum", padding_idx=rows)
        total = self.bias[head] + added[:, :m] + batch.context @ self.context[:, head]
        if batch.history.shape[2]:
            known = batch.history * (batch.element >= 0)[..., None].to(added.dtype)
            total = total + known.sum(1) @ self.history[:, head]
        if head == 0:
            square, pair, context = added[:, m:].split([m, m * self.rank, m * self.context_rank], 1)
            whole = pair.reshape(len(pair), m, self.rank).square().sum(2)
            mixed = batch.context @ self.mixing.flatten(1)
            affinity = (context * mixed).reshape(len(context), m, self.context_rank).sum(2)
            total = total + 0.5 * (whole - square) + affinity
        known = (batch.product > 0).to(total.dtype)[:, None]
        return total + F.embedding(batch.product, self.product[:, head]) * known, total

    def penalty(self, config: RewardConfig) -> Tensor:
        """(M,) minus log prior of the weights, up to a constant."""
        m, cut, factors = self.members, self.members * self.heads, factor_scale(config)
        total = self._off("mixing").square().sum((0, 2)) / 2
        far = {name: self._off(name) for name in self.scales(config)}
        for name, scale in self.scales(config).items():
            off = far[name]
            term = off[:, :cut] if off.dim() == 2 else off.flatten(0, -2)
            total = total + term.reshape(-1, m).square().sum(0) / (2 * scale**2)
        for name in ("dense", "shared", "own"):
            pair, context = far[name][:, cut:].split([m * self.rank, m * self.context_rank], dim=1)
            total = total + pair.reshape(len(pair), m, self.rank).square().sum((0, 2)) / (
                2 * factors**2
            )
            total = total + context.reshape(len(context), m, self.context_rank).square().sum(
                (0, 2)
            ) / (2 * config.scale_context_element**2)
        return total

    def _off(self, name: str) -> Tensor:
        """A weight less its anchor, of the weight's shape; the weight itself before `start`."""
        weight, anchor = getattr(self, name), self.get_buffer(f"anchor_{name}")
        return weight - anchor.reshape(weight.shape) if anchor.dim() else weight


COPIES = 6  # of each weight while learning: itself, gradient, two moments, anchor, the best so far


def learning_gib(elements: int, rest: int, config: RewardConfig, heads: int = HEADS) -> float:
    """GiB that learning so many elements' own weights takes, and `rest` rows of other tables."""
    width = config.members * (heads + config.interaction + config.context_rank)
    terms = config.members * heads
    numbers = (elements + rest) * width + config.buckets * terms
    return COPIES * 4 * numbers / 2**30


def factor_scale(config: RewardConfig) -> float:
    """Prior scale of a factor's entry such that <u, u'> has the configured scale."""
    return (config.scale_interaction**2 / max(config.interaction, 1)) ** 0.25
