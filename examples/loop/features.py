"""What the linear bandits know of a display: the same facts as the reward model is given.

An element is a row: its own id, the words or the phrase of its text (shared by products), its
embedding. A cell is a row: the product and the one-hot context.
"""

from dataclasses import dataclass

import numpy as np

from examples.loop.world import ONE_HOT, Shown, World
from examples.storefront.truth import SLOTS

# Prior deviations in log-odds; wider than the shop's own, as the reward model's are.
PRODUCT, CONTEXT, OWN, WORD, EMBEDDED = 1.0, 0.5, 0.12, 0.2, 0.05
PAIR = 0.06  # pairs of elements and elements in context; the loop tells the reward model the same


@dataclass(frozen=True, eq=False)
class Facts:
    """Of one product: rows of its elements and cells over the columns that they use.

    part (E + cell, d) float64, column (d,) global; `first` (S,) where each slot's elements start.
    """

    part: np.ndarray
    column: np.ndarray
    first: np.ndarray
    elements: int

    def lines(self, choice: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """(n, S + 1) rows of `part` that displays (n, S) in cells (n,) add up."""
        return np.concatenate([self.first + choice, self.elements + cell[:, None]], axis=1)


@dataclass(frozen=True, eq=False)
class Design:
    """The facts of all products, and the prior deviation of every column (d,)."""

    facts: tuple[Facts, ...]
    deviation: np.ndarray

    @staticmethod
    def of(world: World) -> "Design":
        """Columns: products, contexts, own ids, words, embedding."""
        products, contexts = len(world.legal), ONE_HOT.shape[1]
        said = [
            _units(str(t), int(s))
            for t, s in zip(world.elements.text, world.elements.slot, strict=True)
        ]
        words = {unit: at for at, unit in enumerate(sorted({u for units in said for u in units}))}
        vectors = world.elements.embedding[SLOTS.index("image")]
        assert vectors is not None, "images have embeddings"
        own = products + contexts
        word = own + len(world.elements)
        embedded = word + len(words)
        table = np.zeros((len(world.elements), embedded + vectors.shape[1]))
        table[np.arange(len(table)), own + np.arange(len(table))] = 1.0
        for row, units in enumerate(said):
            table[row, [word + words[u] for u in units]] = 1.0
        table[:, embedded:] = vectors
        widths = (products, contexts, len(table), len(words), vectors.shape[1])
        deviation = np.repeat((PRODUCT, CONTEXT, OWN, WORD, EMBEDDED), widths)
        return Design(tuple(_facts(world, table, p) for p in range(products)), deviation)


def _units(text: str, slot: int) -> list[str]:
    return [f"{slot}:{u}" for u in (text.split() if SLOTS[slot] == "title" else [text]) if u]


def _facts(world: World, table: np.ndarray, product: int) -> Facts:
    rows = [own[own >= 0] for own in world.row[product]]
    cells = np.zeros((len(ONE_HOT), table.shape[1]))
    cells[:, product] = 1.0
    cells[:, len(world.legal) : len(world.legal) + ONE_HOT.shape[1]] = ONE_HOT
    whole = np.concatenate([table[np.concatenate(rows)], cells])
    column = np.flatnonzero(whole.any(0))
    first = np.cumsum([0, *(len(own) for own in rows)])
    return Facts(whole[:, column], column, first[:-1], int(first[-1]))


@dataclass(frozen=True, eq=False)
class Counts:
    """Distinct displays of one product: choice (n, S), cell, displays and clicks (n,)."""

    product: int
    choice: np.ndarray
    cell: np.ndarray
    displays: np.ndarray
    clicks: np.ndarray


def counted(world: World, shown: Shown) -> list[Counts]:
    """A day's displays by product."""
    found = []
    for p in np.unique(shown.requests.product).tolist():
        rows = np.flatnonzero(shown.requests.product == p)
        size = len(world.legal[p])
        key = shown.requests.cell[rows] * size + shown.place[rows]
        kinds, which = np.unique(key, return_inverse=True)
        clicks = np.bincount(which, shown.clicked[rows].astype(float))
        displays = np.bincount(which).astype(float)
        found.append(Counts(p, world.legal[p][kinds % size], kinds // size, displays, clicks))
    return found
