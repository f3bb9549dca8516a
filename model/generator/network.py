"""The pointer network: candidates attend to each other, the context asks, slots are filled in turn.

Candidates are read once a product (self-attention over all slots, `present` masks); a context
then attends over them and picks slot by slot, so that a thousand contexts of one product cost one
encoder pass. The context meets the elements in that readout and in every pointer's product of
query and key.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.generator.encoding import Encoding, Inputs
from model.generator.rows import taken

HINT_SCALE = (
    10.0  # hints are differences of log rewards, some tenths; learned weights are of size 1
)


@dataclass(frozen=True)
class Sizes:
    """What fixes the network's shapes."""

    dense: int
    context: int
    slots: int
    buckets: int
    identities: int
    products: int
    width: int
    heads: int
    layers: int

    @staticmethod
    def of(encoding: Encoding, width: int, heads: int, layers: int) -> "Sizes":
        """Those of a network that reads what this encoding writes."""
        return Sizes(
            dense=encoding.dense_width,
            context=encoding.context_width,
            slots=len(encoding.slots),
            buckets=encoding.buckets,
            identities=len(encoding.identities),
            products=len(encoding.products),
            width=width,
            heads=heads,
            layers=layers,
        )


@dataclass(frozen=True, eq=False)
class Places:
    """Where the n candidates of P products stand: side by side for the encoder, then by slot."""

    token: Tensor  # (n,) int64 place in (P, T), T = the most candidates of a product
    card: Tensor  # (n,) int64 place in (P, S, K)
    present: Tensor  # (P, T) bool
    slots: int
    options: int


@dataclass(frozen=True, eq=False)
class Encoded:
    """Products after the encoder: P products, S slots, K + 1 options (option 0 = absent)."""

    keys: Tensor  # (P, S, K + 1, width)
    choices: Tensor  # (P, S, K + 1, width): what choosing the option adds to the query
    memory: Tensor  # (P, tokens, 2 x width): keys and values of the context's readout
    present: Tensor  # (P, tokens) bool, True = a token that exists
    summary: Tensor  # (P, width)

    def take(self, product: int, options: int, candidates: int) -> "Encoded":
        """One product, with as many options a slot and candidates as it has."""
        one = slice(product, product + 1)
        return Encoded(
            self.keys[one, :, :options],
            self.choices[one, :, :options],
            self.memory[one, : candidates + 1],
            self.present[one, : candidates + 1],
            self.summary[one],
        )

    @staticmethod
    def join(parts: Sequence["Encoded"]) -> "Encoded":
        """Products side by side; what one has fewer of is padded."""
        options = max(part.keys.shape[2] for part in parts)
        tokens = max(part.memory.shape[1] for part in parts)
        return Encoded(
            torch.cat([_wide(part.keys, options, 2) for part in parts]),
            torch.cat([_wide(part.choices, options, 2) for part in parts]),
            torch.cat([_wide(part.memory, tokens, 1) for part in parts]),
            torch.cat([_wide(part.present, tokens, 1) for part in parts]),
            torch.cat([part.summary for part in parts]),
        )


class Block(nn.Module):
    """One pre-norm attention layer over a product's candidates."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        parts = self.mixed(self.norm(tokens)).chunk(3, dim=-1)
        query, key, value = (_heads(part, self.heads) for part in parts)
        mask = present[:, None, None, :]
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        tokens = tokens + self.out(seen.transpose(1, 2).flatten(2))
        return tokens + self.outer(functional.gelu(self.inner(self.norm_after(tokens))))


class Network(nn.Module):
    """Encoder of products, reader of contexts, pointer over the options of a slot."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width = sizes.width
        self.sizes = sizes
        self.text = nn.EmbeddingBag(sizes.buckets + 1, width, mode="mean", padding_idx=0)
        self.identity = nn.Embedding(sizes.identities + 1, width, padding_idx=0)
        self.product = nn.Embedding(sizes.products + 1, width, padding_idx=0)
        self.dense = nn.Linear(sizes.dense, width)
        self.content = nn.Sequential(nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, sizes.heads) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(width)
        self.key, self.choice = nn.Linear(width, width), nn.Linear(width, width)
        self.memory = nn.Linear(width, 2 * width)
        self.absent = nn.Parameter(torch.zeros(sizes.slots, 2 * width))
        self.context = nn.Sequential(
            nn.Linear(sizes.context, width), nn.GELU(), nn.Linear(width, width)
        )
        self.ask, self.heard = nn.Linear(width, width), nn.Linear(width, width)
        self.slot = nn.Parameter(torch.zeros(sizes.slots, width))
        self.query = nn.Linear(width, width)
        self.hint = nn.Parameter(torch.zeros(sizes.slots))
        for table in (self.text, self.identity, self.product):
            nn.init.normal_(table.weight, std=0.5)
            with torch.no_grad():
                table.weight[0].zero_()

    def encode(self, inputs: Inputs, places: Places, product: Tensor) -> Encoded:
        """Products after the encoder; `product` (P,) are their numbers, 0 = unknown."""
        return self.mixed(self.contents(inputs), places, product)

    def contents(self, inputs: Inputs) -> Tensor:
        """(n, width): each candidate as it is by itself."""
        return self.content(self._elements(inputs))

    def mixed(self, known: Tensor, places: Places, product: Tensor) -> Encoded:
        """What `encode` gives of candidates (n, width) whose `contents` are known."""
        width, count = self.sizes.width, len(product)
        flat = known.new_zeros(places.present.numel(), width).index_copy(0, places.token, known)
        tokens = flat.view(count, -1, width)
        mean = tokens.sum(1) / places.present.sum(1, keepdim=True)
        whole = (mean + self.product(product))[:, None]
        tokens = torch.cat([whole, tokens], dim=1)
        mask = torch.cat([places.present.new_ones(count, 1), places.present], dim=1)
        for block in self.blocks:
            tokens = block(tokens, mask)
        tokens = self.norm(tokens)
        read = tokens[:, 1:].flatten(0, 1)[places.token]
        shape = (count, places.slots, places.options, width)
        cards = read.new_zeros(math.prod(shape[:3]), width).index_copy(0, places.card, read)
        absent = self.absent.to(read.dtype).expand(count, -1, -1)[:, :, None]
        keys = torch.cat([absent[..., :width], self.key(cards).view(shape)], dim=2)
        choices = torch.cat([absent[..., width:], self.choice(cards).view(shape)], dim=2)
        return Encoded(keys, choices, self.memory(tokens), mask, tokens[:, 0])

    def _elements(self, inputs: Inputs) -> Tensor:
        """(n, width) sum of what is known of each candidate."""
        known = self.dense(inputs.dense) + self.identity(inputs.identity)
        return known + self.text(inputs.tokens) if inputs.tokens.shape[1] else known

    def begin(self, encoded: Encoded, product: Tensor, context: Tensor) -> Tensor:
        """(B, width): the query's start for B pairs of product (index into encoded) and context."""
        start = encoded.summary[product] + self.context(context)
        keys, values = encoded.memory[product].chunk(2, dim=-1)
        heads = self.sizes.heads
        asked = _heads(self.ask(start)[:, None], heads)
        mask = encoded.present[product][:, None, None, :]
        read = functional.scaled_dot_product_attention(
            asked, _heads(keys, heads), _heads(values, heads), attn_mask=mask
        )
        return start + self.heard(read.transpose(1, 2).flatten(1))

    def leaning(self, hint: Tensor) -> Tensor:
        """(B, S, K + 1) what hints (B, S, K + 1) add to the scores."""
        return HINT_SCALE * self.hint[:, None] * hint

    def point(
        self, encoded: Encoded, product: Tensor, query: Tensor, slot: int, leaning: Tensor
    ) -> Tensor:
        """(B, G, K + 1) scores of a slot's options for (B, G, width) queries and the slot's
        `leaning` (B, K + 1)."""
        asked = self.query(functional.gelu(query + self.slot[slot]))
        keys, scale = encoded.keys[product, slot].transpose(1, 2), self.sizes.width**-0.5
        if asked.dtype == torch.float64:  # one operation; autocast would round the hints
            return torch.baddbmm(leaning[:, None], asked, keys, alpha=scale)
        return (asked * scale) @ keys + leaning[:, None]

    def along(
        self, encoded: Encoded, product: Tensor, start: Tensor, options: Tensor, leaning: Tensor
    ) -> Tensor:
        """(B, G, S, K + 1) the scores that `point` gives at every slot on the ways (B, G, S).

        start (B, G, width): the query before anything is chosen.
        """
        slots, count = options.shape[2], encoded.choices.shape[2]
        places = torch.arange(0, slots * count, count, device=product.device)
        flat = (product[:, None] * (slots * count) + places)[:, None] + options
        chosen = functional.embedding(flat[:, :, :-1], encoded.choices.flatten(0, 2))
        query = torch.cat([start[:, :, None], chosen], dim=2).cumsum(2) + self.slot
        asked = self.query(functional.gelu(query)) * self.sizes.width**-0.5
        keys = taken(encoded.keys, product)[:, :slots].transpose(2, 3)
        return (asked.transpose(1, 2) @ keys + leaning[:, :, None]).transpose(1, 2)

    def first(self, encoded: Encoded, product: Tensor) -> Tensor:
        """(B, 1) where the options of products (B,) begin among all."""
        return product[:, None] * math.prod(encoded.choices.shape[1:3])

    def chosen(self, encoded: Encoded, first: Tensor, slot: int, option: Tensor) -> Tensor:
        """(B, G, width): what (B, G) options of a slot add to the query; see `first`."""
        _, _, options, width = encoded.choices.shape
        flat = first + option.add(slot * options)
        return functional.embedding(flat, encoded.choices.reshape(-1, width))


def _wide(part: Tensor, size: int, axis: int) -> Tensor:
    """Padded with zeros along an axis."""
    missing = size - part.shape[axis]
    before = (0, 0) * (part.dim() - axis - 1)
    return functional.pad(part, (*before, 0, missing)) if missing else part


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, width) -> (B, heads, T, width / heads)."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)
