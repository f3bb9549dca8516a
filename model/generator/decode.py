"""Slot by slot through the legal combinations: exact log-probabilities and samples.

Whoever scores the options (the pointer network, or the rules alone), an option without a legal
completion is masked to probability exactly 0, and the rest of a slot's options sum to 1. So the
product over the slots is a distribution over the legal combinations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from model.generator.lattice import Lattice
from model.generator.network import Encoded, Network
from model.generator.nodes import passed
from model.generator.rows import taken


class Scorer(Protocol):
    """Scores of a slot's options, given the options chosen so far.

    Nodes are None where `Lattice.closed` says what is not allowed; such options have -inf.
    """

    def scores(self, slot: int, node: Tensor | None) -> Tensor:
        """(B, G, K + 1) unnormalised log-probabilities of the options of `slot`."""
        ...

    def choose(self, slot: int, option: Tensor, parent: Tensor | None = None) -> None:
        """Goes on with (B, G) options, each the child of beam `parent` (B, G) where given."""
        ...


class Follower(Protocol):
    """Scores of all slots at once, on ways that are known."""

    def along(self, options: Tensor) -> Tensor:
        """(B, G, S, K + 1) what `Scorer.scores` gives at each slot of the ways (B, G, S)."""
        ...


class Reader(Scorer, Protocol):
    """A scorer that follows known ways too, given the nodes (B, G, S) that they pass."""

    def along(self, options: Tensor, node: Tensor | None) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Begun:
    """What every walk of B requests begins with, by this network and no other."""

    network: Network
    start: Tensor  # (B, width) `network.begin`
    leaning: Tensor  # (B, S, K + 1) `network.leaning`, -inf = what `Lattice.closed` holds

    def take(self, rows: Tensor) -> "Begun":
        """These requests, in their order."""
        return Begun(self.network, taken(self.start, rows), taken(self.leaning, rows))


class Pointer:
    """The network's scores for B requests, `groups` prefixes each.

    `product` (B,) index into encoded, `context` (B, C), `hint` (B, S, K + 1) see `hints`; where
    what these two lead to is known already, `begun` says it and they are not read.
    """

    def __init__(
        self,
        network: Network,
        encoded: Encoded,
        product: Tensor,
        context: Tensor,
        hint: Tensor,
        groups: int,
        begun: Begun | None = None,
    ):
        if begun is None:
            start = network.begin(encoded, product, context)
            begun = Begun(network, start, network.leaning(hint))
        self.network, self.encoded, self.product = network, encoded, product
        self.first = network.first(encoded, product)
        self.query = begun.start[:, None].expand(-1, groups, -1)
        self.leaning = begun.leaning

    def scores(self, slot: int, node: Tensor | None) -> Tensor:
        leaning = self.leaning[:, slot]
        return self.network.point(self.encoded, self.product, self.query, slot, leaning)

    def choose(self, slot: int, option: Tensor, parent: Tensor | None = None) -> None:
        query = self.query
        if parent is not None:
            query = query.gather(1, parent[:, :, None].expand(-1, -1, query.shape[2]))
        self.query = query + self.network.chosen(self.encoded, self.first, slot, option)

    def along(self, options: Tensor, node: Tensor | None = None) -> Tensor:
        return self.network.along(self.encoded, self.product, self.query, options, self.leaning)


class Even:
    """The rules' scores for B products: every legal combination has the same probability."""

    def __init__(self, lattice: Lattice, product: Tensor):
        self.lattice, self.product = lattice, product

    def scores(self, slot: int, node: Tensor | None) -> Tensor:
        if node is None:
            return self._level()[:, slot, None]
        return self.lattice.log_ways[self.lattice.after(node)]

    def choose(self, slot: int, option: Tensor, parent: Tensor | None = None) -> None:
        """Nothing to remember: the node says what is left."""

    def along(self, options: Tensor, node: Tensor | None) -> Tensor:
        if node is None:
            return self._level()[:, None].expand(*options.shape, -1)
        return self.scores(0, node)

    def _level(self) -> Tensor:
        """(B, S, K + 1) 0, and -inf for what is closed: after any option as much is left."""
        closed = self.lattice.closed
        assert closed is not None, "nodes are followed where the lattice doesn't say what is closed"
        open_ = torch.zeros(closed.shape, dtype=torch.float64)
        return taken(open_.masked_fill(closed, -torch.inf), self.product)


@dataclass(frozen=True, eq=False)
class Walk:
    """G walks for each of B pairs through the S slots."""

    options: Tensor  # (B, G, S) int64, 0 = absent
    log_prob: Tensor  # (B, G), -inf = illegal
    steps: Tensor  # (B, G, S, K + 1) log-probability of every option on the way, 0 = masked
    allowed: Tensor  # (B, G, S, K + 1) bool


Choice = Callable[[int, Tensor, Tensor], Tensor]  # slot, log-probabilities, allowed -> options


def walk(scorer: Scorer, lattice: Lattice, product: Tensor, groups: int, choice: Choice) -> Walk:
    """Walks on which `choice` picks the options; differentiable in the scores."""
    node = lattice.start[product][:, None].expand(-1, groups)
    options, steps, masks, legal = [], [], [], torch.ones_like(node, dtype=torch.bool)
    for slot in range(lattice.slots):
        after = lattice.after(node)
        allowed = after >= 0
        steps.append(_log_softmax(scorer.scores(slot, node), allowed))
        option = choice(slot, steps[-1], allowed)
        scorer.choose(slot, option)
        node = after.gather(2, option[:, :, None])[:, :, 0]
        legal = legal & (node >= 0)
        node = node.clamp(min=0)
        options.append(option)
        masks.append(allowed)
    chosen, every = torch.stack(options, 2), torch.stack(steps, 2)
    log_prob = every.gather(3, chosen[..., None])[..., 0].sum(2)
    return Walk(chosen, log_prob.masked_fill(~legal, -torch.inf), every, torch.stack(masks, 2))


def _log_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Log-probabilities over the allowed options; 0 elsewhere, to be read with the mask only."""
    scores = scores if scores.dtype == torch.float64 else scores.float()
    open_rows = allowed | ~allowed.any(-1, keepdim=True)
    normal = functional.log_softmax(scores.masked_fill(~open_rows, -torch.inf), dim=-1)
    return normal.masked_fill(~allowed, 0.0)


def given(options: Tensor) -> Choice:
    """Follows (B, G, S) options; one that no candidate has is taken as absent (see `log_prob`)."""
    return lambda slot, log_prob, allowed: options[:, :, slot]


def drawn(uniform: Tensor) -> Choice:
    """Samples by inverting the distribution function at (B, G, S) numbers in [0, 1).

    Counted among the allowed options alone: a parallel scan rounds each place by itself, so an
    option without probability may seem to reach further than the one before it.
    """

    def choice(slot: int, log_prob: Tensor, allowed: Tensor) -> Tensor:
        share = log_prob.detach().exp().masked_fill(~allowed, 0.0)
        reach = share.cumsum(-1)
        aim = uniform[:, :, slot, None] * reach[..., -1:]
        place = allowed.to(torch.int32).cumsum(-1)  # 1 at the first allowed option, and so on
        passed = ((reach <= aim) & allowed).sum(-1, keepdim=True)
        passed = torch.minimum(passed, place[..., -1:] - 1)
        return (place <= passed).sum(-1)

    return choice


def again(follower: Follower, walk: Walk) -> Walk:
    """The same ways with another scorer's log-probabilities."""
    steps = _log_softmax(follower.along(walk.options), walk.allowed)
    log_prob = steps.gather(3, walk.options[..., None])[..., 0].sum(2)
    return Walk(walk.options, log_prob, steps, walk.allowed)


def log_prob(
    scorer: Reader, lattice: Lattice, product: Tensor, combinations: Tensor, legal: bool = False
) -> Tensor:
    """(B, G) exact log-probabilities of (B, G, S) local indices; -inf where illegal.

    All slots at once; equal to `walk` with `given`. legal: all of them are known to be.
    """
    asked = combinations + 1
    options = asked if legal else asked.clamp(0, lattice.step.shape[1] - 1)
    nodes, end = passed(lattice, product, options) if lattice.closed is None else (None, None)
    scores = scorer.along(options, nodes)
    if nodes is not None:
        scores = scores.masked_fill(lattice.after(nodes) < 0, -torch.inf)
    steps = functional.log_softmax(scores, dim=-1).gather(3, options[..., None])
    found = steps[..., 0].sum(2)
    if legal:
        return found
    illegal = (asked != options).any(-1)
    if end is not None:  # past an option that is not allowed there is nothing that sums to 1
        illegal |= end < 0
    return found.masked_fill(illegal, -torch.inf)
