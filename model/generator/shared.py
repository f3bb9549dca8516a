"""What is worked out of an automaton once, for all products that share it (see `space_of`)."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
import torch

from model.combinations import Space

NODES, TABLES = 100, 64  # of so many small automata it is kept

T = TypeVar("T")


class Shared(Generic[T]):
    """What `make` makes of a space, kept for others with its table.

    Safe to share: a server loads its next policy in one thread while another answers.
    """

    def __init__(self, make: Callable[[Space], T]):
        self._make = make
        self._kept: OrderedDict[int, tuple[np.ndarray, T]] = OrderedDict()
        self._lock = Lock()

    def of(self, space: Space) -> T:
        """What is made of the space's automaton."""
        key = id(space.step)
        with self._lock:
            if key in self._kept:  # with the table itself, so no other one can have its id
                return self._kept[key][1]
            with torch.inference_mode(False):  # other modes can use it too
                made = self._make(space)
            if len(space.step) <= NODES:
                self._kept[key] = space.step, made
                if len(self._kept) > TABLES:
                    self._kept.popitem(last=False)
            return made
