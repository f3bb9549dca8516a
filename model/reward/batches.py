"""Which rows a training step learns from: a function of the seed and the step's number alone."""

import math

import numpy as np
import torch
from torch import Tensor

from model.codes import coded
from model.reward.config import RewardConfig

FEW_ROWS = 64  # rows a product below which batches hold whole products


def batch_size(rows: int, config: RewardConfig) -> int:
    """Rows a step: the configured number, or more where fewer would not see every row `passes`
    times."""
    return min(rows, max(config.batch, math.ceil(config.passes * rows / config.steps)))


class Batches:
    """Row indices by step: all rows where they fit, else a shuffled pass after another.

    Where products have few rows each, a batch holds whole products, so that they are compared.
    """

    def __init__(self, product_id: np.ndarray, config: RewardConfig, seed: int) -> None:
        names, self._codes = coded(product_id)
        self.rows, self.size = len(product_id), batch_size(len(product_id), config)
        self.products, self._seed = len(names), seed
        self._whole = self.rows / max(len(names), 1) < FEW_ROWS
        self._pass, self._order = -1, np.arange(self.rows)
        self._sent: tuple[int, Tensor] | None = None

    def there(self, step: int, device: torch.device) -> Tensor:
        """As `at`, on the device: a pass's order is sent once, from pinned memory."""
        places = self.at(step)
        if device.type != "cuda":
            return torch.from_numpy(places)
        if self._sent is None or self._sent[0] != self._pass:
            order = torch.from_numpy(self._order).pin_memory().to(device, non_blocking=True)
            self._sent = (self._pass, order)
        if self.size >= self.rows:
            return self._sent[1]
        place = step % (self.rows // self.size)
        return self._sent[1][place * self.size : (place + 1) * self.size]

    def turn(self, step: int) -> tuple[int, int]:
        """(which pass over the rows, which of its batches) a step is."""
        return divmod(step, self.rows // self.size) if self.size < self.rows else (0, 0)

    def whole(self, step: int) -> np.ndarray:
        """(batches, size) indices of all rows of the step's pass."""
        self.at(step)
        count = self.rows // self.size
        return self._order[: count * self.size].reshape(count, self.size)

    def at(self, step: int) -> np.ndarray:
        """Indices of the step's rows."""
        if self.size >= self.rows:
            return self._order
        number, place = self.turn(step)
        if number != self._pass:
            self._pass, self._order = number, self._shuffled(number)
        return self._order[place * self.size : (place + 1) * self.size]

    def _shuffled(self, number: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, number])
        if self._whole:
            return np.argsort(rng.permutation(self.products)[self._codes], kind="stable")
        return rng.permutation(self.rows)
