"""The forward passes that a choice needs, by the policy's own modules and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.serving.shop import RERANKED
from model.generator.cells import columns_of
from model.generator.decode import Pointer
from model.generator.lattice import Lattice
from model.generator.policy import Shelf
from model.reward.shelf import Shelf as Shelves
from model.reward.shelf import cards_of
from model.serving import ServingPolicy

Pass = Callable[[], object]


@dataclass(frozen=True)
class Bare:
    """One encoder pass over the requests' products, four pointer steps with 32 prefixes each, one
    reward batch of 32 combinations a request; inputs are made beforehand."""

    encoder: Pass
    pointer: Pass
    reward: Pass


def bare_of(policy: ServingPolicy, products: list[str], contexts: list[dict[str, object]]) -> Bare:
    """The passes for these requests."""
    own = sorted(set(products))
    which = np.array([own.index(name) for name in products])
    lattice = Lattice.pack([policy._space(name) for name in own])
    columns = columns_of(contexts, policy.context)
    pointer = _pointer(policy, lattice, which, columns)
    return Bare(*pointer, _reward(policy, lattice, which, products, columns))


def _pointer(policy, lattice, which, columns) -> tuple[Pass, Pass]:
    generator = policy.generator
    network, count = generator._exact, len(which)
    inputs = generator.encoding.inputs(policy.elements, lattice.rows[lattice.rows >= 0])
    shelf = Shelf.of(generator.encoding, inputs, lattice)
    context = generator.encoding.context_rows(columns, count).double()
    product = torch.from_numpy(which)
    hint = torch.zeros(count, lattice.slots, lattice.rows.shape[2] + 1, dtype=torch.float64)
    with torch.no_grad():
        encoded = shelf.encode(network)
    options = torch.ones(count, RERANKED, dtype=torch.int64)
    node = torch.zeros(0, dtype=torch.int64)

    @torch.no_grad()
    def steps() -> None:
        pointer = Pointer(network, encoded, product, context, hint, RERANKED)
        for slot in range(lattice.slots):
            pointer.scores(slot, node)
            pointer.choose(slot, options)

    return torch.no_grad()(partial(shelf.encode, network)), steps


def _reward(policy, lattice, which, products, columns) -> Pass:
    reward, rows = policy.reward, lattice.rows
    used, place = np.unique(np.maximum(rows, 0), return_inverse=True)
    inputs = reward._inputs(policy.elements).take(torch.from_numpy(used))
    encoding = reward._encoding
    element = torch.from_numpy(np.where(rows >= 0, place.reshape(rows.shape), -1)[which])
    product = torch.from_numpy(encoding.product_codes(np.array(products, object)))
    history = torch.from_numpy(
        encoding.history_rows(policy.elements.history[used], inputs.own.numpy())
    )
    kept = reward.shelf(products, policy.elements, rows[which])
    every = torch.arange(len(products))
    known = torch.from_numpy(encoding.context_rows(columns, len(products)))
    draw = torch.Generator().manual_seed(0)
    shape = (len(products), RERANKED, lattice.slots)
    combinations = torch.randint(rows.shape[2], shape, generator=draw)
    given = (reward._network, encoding, kept.scale)

    @torch.no_grad()
    def scored() -> None:
        cards = cards_of(reward._network, reward._network.elements(inputs), history)
        shelf = Shelves.of(*given, cards, product, element)
        shelf.met(every, known).score(combinations)

    return scored
