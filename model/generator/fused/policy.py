"""The policy's function in an order that suits a GPU; the same function as network.py's.

What is only ever multiplied by a query is not computed for 64 candidates: the readout's keys and
values and the pointers' keys are folded into the queries, (W_k x) . q = x . (W_k^T q). Candidates
stand in fixed places, padding is masked, so that every shape is static.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.generator.fused import layer
from model.generator.network import HINT_SCALE, Network

if TYPE_CHECKING:
    from model.reward.pieces import Pieces


@dataclass(frozen=True, eq=False)
class Paths:
    """The automata that requests walk (see Lattice): what `decode.walk` reads of them."""

    step: Tensor  # (node, K + 1) int64
    start: Tensor  # (B,) int64: each request's own first node
    slots: int

    def after(self, node: Tensor) -> Tensor:
        return self.step[node]


@dataclass(frozen=True, eq=False)
class Requests:
    """B requests, each with its own product's S x K candidates in fixed places."""

    dense: Tensor  # (B, S K, F)
    identity: Tensor  # (B, S K) int64, 0 = hidden or never trained on
    present: Tensor  # (B, S K) bool
    product: Tensor  # (B,) int64, 0 = unknown
    context: Tensor  # (B, C)
    hint: Tensor  # (B, S, K + 1)
    paths: Paths
    log_count: Tensor  # (B,)
    pieces: "Pieces"
    tokens: Tensor  # (B, S K, T) int64 hashed n-grams, 0 = padding
    known: Tensor  # (B, S, K + 1) bool, False = an option that the log hardly showed
    new: Tensor  # (B,) bool, True = the policy sees the product as one never trained on
    hidden: Tensor  # (B, S K) bool, True = and the candidate's identity is hidden from it


def linear(layer_: nn.Linear, inputs: Tensor) -> Tensor:
    kind = inputs.dtype
    return functional.linear(inputs, layer_.weight.to(kind), layer_.bias.to(kind))


def first_tokens(
    network: Network, requests: Requests, kind: torch.dtype, hides: bool = False
) -> Tensor:
    """(B, 1 + S K, D): the whole product, then its candidates (0 where absent).

    Where it `hides`, ids that the requests hide are not read.
    """
    identity, product = requests.identity, requests.product
    if hides:
        identity = identity.masked_fill(requests.hidden, 0)
        product = product.masked_fill(requests.new, 0)
    known = linear(network.dense, requests.dense.to(kind))
    named = network.identity.weight.to(kind)
    known = known + functional.embedding(identity, named, padding_idx=0)
    if requests.tokens.shape[2]:
        said = functional.embedding_bag(
            requests.tokens.flatten(0, 1), network.text.weight, mode="mean", padding_idx=0
        )
        known = known + said.view(known.shape).to(kind)
    inner, outer = functional.gelu(known), network.content[1]
    assert isinstance(outer, nn.Linear)
    there = requests.present[..., None]
    known = torch.where(there, linear(outer, inner), 0.0)
    mean = known.float() if kind != torch.float64 else known
    whole = mean.sum(1) / there.sum(1) + network.product(product)
    return torch.cat([whole.to(kind)[:, None], known], dim=1)


def encoded(network: Network, tokens: Tensor, present: Tensor, kernels: bool) -> Tensor:
    """The encoder's layers and its last norm; by Triton kernels where asked for."""
    for place, block in enumerate(network.blocks):
        assert isinstance(block, layer.Block)
        if kernels:
            last = network.norm if place + 1 == len(network.blocks) else None
            tokens = layer.fused(block, tokens, present, last)
        else:
            whole = present.new_ones(len(present), 1)
            tokens = layer.plain(block, tokens, torch.cat([whole, present], dim=1))
    if kernels and len(network.blocks):
        return tokens
    weight, bias = (part.to(tokens.dtype) for part in (network.norm.weight, network.norm.bias))
    return functional.layer_norm(tokens, (network.sizes.width,), weight, bias, network.norm.eps)


def read(network: Network, tokens: Tensor, requests: Requests) -> Tensor:
    """(B, D) the query's start, from normed tokens: the product's summary, the context, a readout."""
    kind, width, heads = tokens.dtype, network.sizes.width, network.sizes.heads
    first, last = network.context[0], network.context[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    spoken = linear(last, functional.gelu(linear(first, requests.context.to(kind))))
    start = tokens[:, 0] + spoken
    key, value = network.memory.weight.to(kind).unflatten(0, (2, heads, -1)).unbind(0)
    asked = linear(network.ask, start).unflatten(-1, (heads, -1))
    asked = torch.bmm(asked.transpose(0, 1), key).transpose(0, 1) * (width // heads) ** -0.5
    whole, cards = tokens[:, :1], tokens[:, 1:]  # apart: products of 65 are not aligned
    own = (_exact(asked) * _exact(whole)).sum(-1, keepdim=True)
    others = _exact(torch.bmm(asked, cards.transpose(1, 2)))
    others = others.masked_fill(~requests.present[:, None], -torch.inf)
    share = functional.softmax(torch.cat([own, others], dim=2), dim=-1).to(kind)
    mixed = torch.bmm(share[..., 1:].contiguous(), cards) + share[..., :1] * whole
    heard = torch.bmm(mixed.transpose(0, 1), value.transpose(1, 2)).transpose(0, 1).flatten(1)
    return start + linear(network.heard, heard + network.memory.bias[width:].to(kind))


def _exact(scores: Tensor) -> Tensor:
    return scores if scores.dtype == torch.float64 else scores.float()


class Pointer:
    """A `decode.Scorer` of B requests with G samples each."""

    def __init__(self, network: Network, tokens: Tensor, requests: Requests, groups: int):
        kind, width = tokens.dtype, network.sizes.width
        self.network, self.requests, self.kind = network, requests, kind
        slots, options = requests.hint.shape[1], requests.hint.shape[2]
        self.cards = tokens[:, 1:].unflatten(1, (slots, options - 1))
        ask, key, scale = network.query, network.key, width**-0.5
        self.turn = (scale * (ask.weight.t() @ key.weight)).to(kind)  # (D, D)
        self.turned = (scale * (ask.bias @ key.weight)).to(kind)
        still = torch.cat([key.bias[None], network.absent[:, :width]])  # (1 + S, D)
        self.level = scale * (still @ ask.weight).to(kind)
        self.levelled = scale * (still @ ask.bias)
        start = read(network, tokens, requests)
        self.query = start[:, None].expand(-1, groups, -1)

    def scores(self, slot: int, node: Tensor) -> Tensor:
        network, requests = self.network, self.requests
        bent = functional.gelu(self.query + network.slot[slot].to(self.kind))
        found = torch.bmm(bent @ self.turn + self.turned, self.cards[:, slot].transpose(1, 2))
        wide = _exact(bent)
        shared = (wide * self.level[0].to(wide.dtype)).sum(-1) + self.levelled[0]
        absent = (wide * self.level[1 + slot].to(wide.dtype)).sum(-1) + self.levelled[1 + slot]
        found = _exact(found) + shared[..., None]
        leaning = HINT_SCALE * network.hint[slot] * requests.hint[:, slot]
        return torch.cat([absent[..., None], found], dim=-1) + leaning[:, None]

    def along(self, options: Tensor) -> Tensor:
        """(B, G, S, K + 1) the scores at every slot of the ways (B, G, S), in one pass."""
        network, width, count = self.network, self.network.sizes.width, self.cards.shape[2]
        wanted = torch.arange(1, count + 1, device=options.device)
        earlier = options[:, :, :-1].transpose(1, 2)  # (B, S - 1, G)
        taken = (earlier[..., None] == wanted).to(self.kind)
        card = linear(network.choice, taken @ self.cards[:, :-1])
        absent = network.absent[:-1, None, width:].to(self.kind)
        added = torch.where((earlier > 0)[..., None], card, absent)
        queries = [self.query]
        for slot in range(options.shape[2] - 1):
            queries.append(queries[-1] + added[:, slot])
        bent = functional.gelu(torch.stack(queries, 1) + network.slot[:, None].to(self.kind))
        found = _exact((bent @ self.turn + self.turned) @ self.cards.transpose(2, 3))
        wide = _exact(bent)
        shared = (wide * self.level[0].to(wide.dtype)).sum(-1) + self.levelled[0]
        alone = (wide * self.level[1:, None].to(wide.dtype)).sum(-1) + self.levelled[1:, None]
        leaning = HINT_SCALE * network.hint[:, None] * self.requests.hint
        scores = torch.cat([alone[..., None], found + shared[..., None]], dim=-1)
        return (scores + leaning[:, :, None]).transpose(1, 2)

    def choose(self, slot: int, option: Tensor, parent: Tensor | None = None) -> None:
        if slot + 1 == self.requests.paths.slots:
            return  # nobody asks after the last slot
        width, choice = self.network.sizes.width, self.network.choice
        options = self.cards.shape[2]
        wanted = torch.arange(1, options + 1, device=option.device)
        taken = (option[..., None] == wanted).to(self.kind)
        card = linear(choice, torch.bmm(taken, self.cards[:, slot]))
        absent = self.network.absent[slot, width:].to(self.kind)
        self.query = self.query + torch.where((option > 0)[..., None], card, absent)
