"""The published policy (CONTRACT 5): a distribution over allowed combinations, exact to the digit.

pi = (1 - explore - uniform - sampled) * softmax(reward / temperature) over K(x)
     + explore * generator + uniform * uniform over the allowed
     + sampled * the mean over drawn rewards of each one's softmax over its own best.
Everything that is published, logged or judged goes through the same mixture in float64, so the
propensity that is logged is the probability that was used.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags
from model.combinations import Rules, Space, space_of
from model.elements import Elements
from model.generator import mixture as mixing
from model.generator.candidates import Requests, candidate_set, kind_of
from model.generator.cells import (
    Cells,
    columns_of,
    distinct_cells,
    one_cell,
    rows_by_product,
    take_context,
)
from model.generator.mixture import Batch, Mixture
from model.generator.policy import Generator
from model.generator.sampled import sampled_set
from model.generator.search import score
from model.generator.stock import Stock, Stocked
from model.reward.scoring import RewardModel

__all__ = ["Distribution", "Mixture", "ServingPolicy"]

BATCH = 1024  # requests computed at once, at most
BATCH_CANDIDATES = 200_000  # and so many candidates of their products, padding included
# Freed, a block of this size tells glibc to keep blocks up to it: else it gives each large tensor's
# pages back and has them cleared again, which took a batch of 256 two to four times as long.
HEAP = 32 * 2**20 - 8192
REMEMBERED = 512  # products whose proposals `choose` keeps at hand
_FIRST = torch.zeros(1, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Distribution:
    """Combinations of one request with their probability and predicted reward."""

    combinations: list[dict[str, str]]  # slot -> element_id; an absent slot is left out
    probability: np.ndarray  # (L,) float64
    predicted_reward: np.ndarray  # (L,) float64


class ServingPolicy:
    """What the ad server shows; without a generator its share of the mixture is uniform.

    A product for which nothing is legal raises the ValueError of `space_of`.
    """

    def __init__(
        self,
        reward: RewardModel,
        generator: Generator | None,
        elements: Elements,
        rules: Rules,
        mixture: Mixture,
        context: Mapping[str, str],
    ):
        self.reward, self.generator = reward, generator
        self.elements, self.rules, self.mixture = elements, rules, mixture
        self.context = dict(context)
        torch.empty(HEAP, dtype=torch.uint8)
        self._spaces: dict[str, Space] = {}
        self._stock = Stock(reward, generator, elements, REMEMBERED)

    def distribution(self, product_id: str, context: Mapping[str, object]) -> Distribution:
        """Every legal combination, in the order of `Space.enumerate`.

        Raises ValueError where there are more than 100,000 of them.
        """
        space = self._space(product_id)
        every = torch.from_numpy(space.enumerate(mixing.LISTED).astype(np.int64))[None]
        batch = self._alone(product_id, context)
        chance = mixing.probability(batch, _FIRST, every, self.mixture)
        reward = score(batch.requests.pieces, every)
        return Distribution(
            self._named(space, every[0].numpy()), chance[0].numpy(), reward[0].numpy()
        )

    @torch.inference_mode()
    def choose(
        self, product_id: str, context: Mapping[str, object], rng: np.random.Generator
    ) -> tuple[dict[str, str], float]:
        """(combination, propensity): one drawn from the policy, and the chance that it had."""
        batch = self._alone(product_id, context)
        shown = mixing.drawn(batch, _FIRST, 1, self.mixture, rng)
        propensity = float(mixing.probability(batch, _FIRST, shown, self.mixture, legal=True))
        return self._named(self._space(product_id), shown[0].numpy())[0], propensity

    @torch.inference_mode()
    def choose_many(
        self,
        product_ids: Sequence[str],
        contexts: Sequence[Mapping[str, object]],
        rng: np.random.Generator,
    ) -> tuple[list[dict[str, str]], np.ndarray]:
        """(n combinations, propensities (n,) float64) of n requests, each drawn as by `choose`."""
        names, known = np.array(product_ids, object), columns_of(contexts, self.context)
        shown: list[dict[str, str]] = [{} for _ in names]
        chance = np.zeros(len(names))
        for batch, rows, request in self._with_rows(names, known, strict=True, stocked=True):
            drawn = mixing.drawn(batch, request, 1, self.mixture, rng)
            told = mixing.probability(batch, request, drawn, self.mixture, legal=True)
            chance[rows] = told[:, 0].numpy()
            spaces = batch.requests.proposer.lattice.spaces
            own = batch.requests.product[request.numpy()]
            for product in np.unique(own):
                here = np.flatnonzero(own == product)
                picked = self._named(spaces[product], drawn[here, 0].numpy())
                for row, combination in zip(rows[here].tolist(), picked, strict=True):
                    shown[row] = combination
        return shown, chance

    def count(self, product_id: str) -> int:
        """How many combinations are legal; the ValueError of `space_of` where none is."""
        return self._space(product_id).count()

    def top(
        self, product_id: Sequence[str], context: Mapping[str, np.ndarray], k: int
    ) -> list[Distribution]:
        """The k most probable combinations of each of n requests, most probable first.

        Ties are in the order of `Space.enumerate`. Where a product has fewer, all of them.
        """
        names, known = np.array(product_id, object), self._context(context)
        cells = distinct_cells(names, known)
        found: dict[int, Distribution] = {}
        for batch in self._batches(names, known, cells, strict=True):
            spaces = [batch.requests.proposer.lattice.spaces[p] for p in batch.requests.product]
            best_of = mixing.top(batch, k, self.mixture)
            for cell, space, best in zip(batch.cells.tolist(), spaces, best_of, strict=True):
                named = self._named(space, best.combinations)
                found[cell] = Distribution(named, best.probability, best.reward)
        return [found[cell] for cell in cells.of.tolist()]

    def propensity(self, bags: Bags) -> np.ndarray:
        """(n,) float64 exact probability of each bag's combination, 0 where it is not legal."""
        found = np.zeros(len(bags.product_id))
        for batch, rows, request in self._with_rows(bags.product_id, bags.context, strict=False):
            found[rows] = self._chance(batch, rows, request, bags)
        return found

    def sample(self, bags: Bags, draws: int, rng: np.random.Generator) -> np.ndarray:
        """(n, draws, S) int32 rows in elements, -1 absent: what this policy would show instead."""
        found = np.full((len(bags.product_id), draws, len(self.elements.slots)), -1, np.int32)
        for batch, rows, request in self._with_rows(bags.product_id, bags.context, strict=True):
            found[rows] = self._drawn(batch, request, draws, rng)
        return found

    def replay(
        self, bags: Bags, draws: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(propensity, sample) of the bags in one pass: each candidate set is worked out once."""
        chance = np.zeros(len(bags.product_id))
        found = np.full((len(bags.product_id), draws, len(self.elements.slots)), -1, np.int32)
        for batch, rows, request in self._with_rows(bags.product_id, bags.context, strict=True):
            chance[rows] = self._chance(batch, rows, request, bags)
            found[rows] = self._drawn(batch, request, draws, rng)
        return chance, found

    def _chance(self, batch: Batch, rows: np.ndarray, request: Tensor, bags: Bags) -> np.ndarray:
        product = batch.requests.product[request.numpy()]
        local = batch.requests.proposer.lattice.local(product, bags.element[rows])
        asked = torch.from_numpy(local)[:, None]
        return mixing.probability(batch, request, asked, self.mixture)[:, 0].numpy()

    def _drawn(
        self, batch: Batch, request: Tensor, draws: int, rng: np.random.Generator
    ) -> np.ndarray:
        shown = mixing.drawn(batch, request, draws, self.mixture, rng).numpy()
        own = batch.requests.proposer.lattice.rows[batch.requests.product[request.numpy()]]
        picked = np.take_along_axis(own[:, None], np.maximum(shown, 0)[..., None], axis=3)
        return np.where(shown >= 0, picked[..., 0], -1)

    def _context(self, context: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The configured context only: what else a request carries decides nothing."""
        return {name: context[name] for name in self.context}

    def _space(self, product_id: str) -> Space:
        if product_id not in self._spaces:
            self._spaces[product_id] = space_of(product_id, self.elements, self.rules)
        return self._spaces[product_id]

    def _kind(self, product_id: str) -> int:
        count = self._space(product_id).count()
        return kind_of(count, self.mixture.candidates, self.mixture.exact)

    def _alone(self, product_id: str, context: Mapping[str, object]) -> Batch:
        cell, nothing = one_cell(context, self.context), np.zeros(1, np.int64)
        held = self._stock.of([self._space(product_id)])
        return self._asked(held, nothing, cell, nothing, self._kind(product_id))

    def _batch(
        self,
        product_id: list[str],
        context: dict[str, np.ndarray],
        cells: np.ndarray,
        kind: int,
        stocked: bool,
    ) -> Batch:
        names, product = rows_by_product(product_id)
        spaces = [self._space(name) for name in names]
        held = self._stock.of(spaces) if stocked else self._stock.read(spaces)
        return self._asked(held, product, context, cells, kind)

    def _asked(
        self,
        held: Stocked,
        product: np.ndarray,
        context: dict[str, np.ndarray],
        cells: np.ndarray,
        kind: int,
    ) -> Batch:
        pieces = held.pieces(product, context)
        asked = held.proposer.asked(product, context, pieces)
        learned = self.generator is not None
        requests = Requests(held.proposer, learned, asked, pieces, kind)
        mix = self.mixture
        kept = candidate_set(requests, mix.candidates, mix.temperature)
        drawn = sampled_set(requests, mix.deviation, mix.temperature) if mix.sampled else None
        return Batch(requests, kept, drawn, cells)

    def _batches(
        self,
        names: np.ndarray,
        context: Mapping[str, np.ndarray],
        cells: Cells,
        strict: bool,
        stocked: bool = False,
    ) -> Iterator[Batch]:
        """The cells in batches of products alike in size; illegal ones raise only if `strict`."""
        own, place = rows_by_product(names[cells.first].tolist())
        size = np.array([self._size(name, strict) for name in own])
        kind = np.array([kind_of(s, self.mixture.candidates, self.mixture.exact) for s in size])
        order = np.lexsort((place, size[place], kind[place]))
        order = order[size[place[order]] > 0]
        for first in (int(k) for k in np.unique(kind)):
            alike = order[kind[place[order]] == first]
            rows = self._rows_at_once([own[at] for at in np.unique(place[alike])])
            for start in range(0, len(alike), rows):
                part = alike[start : start + rows]
                asked = cells.first[part]
                own_context = take_context(context, asked)
                yield self._batch(names[asked].tolist(), own_context, part, first, stocked)

    def _rows_at_once(self, names: list[str]) -> int:
        widest = max((len(c) for name in names for c in self._space(name).candidates), default=1)
        return max(1, min(BATCH, BATCH_CANDIDATES // (widest * len(self.elements.slots))))

    def _size(self, product_id: str, strict: bool) -> int:
        try:
            return self._space(product_id).count()
        except ValueError:
            if strict:
                raise
            return 0

    def _with_rows(
        self,
        product_id: np.ndarray,
        given: Mapping[str, np.ndarray],
        strict: bool,
        stocked: bool = False,
    ) -> Iterator[tuple[Batch, np.ndarray, Tensor]]:
        """(batch, the rows of its cells, which of its requests each of them is)."""
        context = self._context(given)
        cells = distinct_cells(product_id, context)
        order = np.argsort(cells.of, kind="stable")
        starts = np.searchsorted(cells.of[order], np.arange(len(cells.first) + 1))
        for batch in self._batches(product_id, context, cells, strict, stocked):
            sizes = starts[batch.cells + 1] - starts[batch.cells]
            rows = np.concatenate([order[starts[c] : starts[c + 1]] for c in batch.cells])
            yield batch, rows, torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))

    def _named(self, space: Space, combinations: np.ndarray) -> list[dict[str, str]]:
        slots, names = self.elements.slots, self.elements.element_id
        if len(combinations) == 1:
            own = zip(slots, space.candidates, combinations[0].tolist(), strict=True)
            return [{slot: str(names[rows[at]]) for slot, rows, at in own if at >= 0}]
        return [
            {slots[s]: str(names[row]) for s, row in enumerate(rows) if row >= 0}
            for rows in space.rows(combinations).tolist()
        ]
