"""What a step of the generator's training draws: its requests, its chance, what it hides.

All of it comes from the seed and the step's number, and is drawn for the whole batch before a
process takes its part: so neither a restart nor the number of processes changes it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.generator.config import GeneratorConfig
from model.generator.ground import Ground
from model.generator.policy import Hide
from model.processes import Processes


@dataclass(frozen=True, eq=False)
class Draw:
    """A process' part of a step: rows `at` (B,) of the pool, uniform (B, G, S), what it hides, and
    its share of the batch."""

    at: np.ndarray
    uniform: Tensor
    hide: Hide
    share: float


@dataclass(frozen=True, eq=False)
class Logged:
    """A process' part of a step that clones: rows `at` (B,) of the log's shown combinations, what
    it hides, and its share of the batch."""

    at: np.ndarray
    hide: Hide
    share: float


@dataclass(frozen=True, eq=False)
class Batches:
    """The steps' draws; each process takes its own part of them."""

    ground: Ground
    config: GeneratorConfig
    seed: int
    device: str
    processes: Processes

    def drawn(self, step: int) -> Draw:
        """A step's own requests and chance."""
        rows, drawn = self._chance(step)
        pool, size = self.ground.pool, self.size()
        shape = (size, self.config.group, self.ground.lattice.slots)
        every, own = np.sort(rows.choice(len(pool.product), size, replace=False)), self.part(size)
        uniform = torch.rand(shape, generator=drawn, device=self.device)[own]
        hide = self._hide(pool.product[every], own, drawn)
        return Draw(every[own], uniform, hide, len(every[own]) / size)

    def logged(self, step: int) -> Logged:
        """A step's own logged combinations."""
        rows, drawn = self._chance(step)
        shown = self.ground.shown
        every = shown.draw(self._at_most(self.config.clone_batch), rows)
        own = self.part(len(every))
        hide = self._hide(shown.product[every], own, drawn)
        return Logged(every[own], hide, len(every[own]) / len(every))

    def size(self) -> int:
        """Requests of a step, of all processes together."""
        return min(self._at_most(self.config.batch), len(self.ground.pool.product))

    def part(self, requests: int) -> slice:
        """This process' requests. Raises ValueError where a process would have none."""
        if requests < self.processes.count:
            raise ValueError(
                f"a step holds {requests} requests, fewer than its {self.processes.count} "
                "processes; lower processes, or raise batch, clone_batch or step_candidates"
            )
        return self.processes.part(requests)

    def _chance(self, step: int) -> tuple[np.random.Generator, torch.Generator]:
        """A step's randomness, from the seed and the step's number alone."""
        spread = np.random.SeedSequence([self.seed, 1, step])
        rows = np.random.default_rng(spread)
        drawn = torch.Generator(self.device)
        drawn.manual_seed(int(spread.generate_state(1, np.uint64)[0] >> 1))
        return rows, drawn

    def _at_most(self, requests: int) -> int:
        """So many requests, or fewer where a product has so many candidates that memory counts."""
        return max(1, min(requests, self.config.step_candidates // self.ground.lattice.widest))

    def _hide(self, product: np.ndarray, own: slice, drawn: torch.Generator) -> Hide:
        """What the own part of a batch hides; drawn for the whole, so that no split changes it."""
        every, cards = np.unique(product), self.ground.lattice.rows[0].size
        hide = Hide.drawn(self.config.id_dropout, len(every), cards, drawn)
        here = np.searchsorted(every, np.unique(product[own]))
        return hide.take(torch.from_numpy(here).to(self.device))
