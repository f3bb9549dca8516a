"""Rewards of all legal combinations of one product in many contexts, by halves.

The reward's log-odds are sums over elements and pairs of elements, so a combination's is that of
its first half, that of its second half, and the product of their factor sums: a matrix product
instead of a look-up for every combination. Equal to `Pieces.score` up to rounding (a law test
holds it); what is found here is scored there again.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.combinations import Space
from model.reward.members import mode
from model.reward.network import VALUE
from model.reward.pieces import CHANCE, Pieces

SHORT = 64  # shorter lists are scored directly
WASTE = 4  # pairs of halves computed for each that is listed, at most


@dataclass(frozen=True, eq=False)
class Halves:
    """The distinct first and second halves of a list of combinations."""

    first: Tensor  # (n, S) int64 local indices, the second half's slots absent
    second: Tensor  # (m, S) likewise
    place: Tensor | None  # (L,) which of the n x m pairs is listed; None = all of them, in order

    @staticmethod
    def of(listed: Tensor) -> "Halves | None":
        """Halves of a product's list (L, S), or None where pairing them would be wasteful."""
        rows, cut = listed.numpy(), listed.shape[1] // 2
        if cut == 0 or len(rows) < SHORT:
            return None
        first, which = np.unique(rows[:, :cut], axis=0, return_inverse=True)
        second, other = np.unique(rows[:, cut:], axis=0, return_inverse=True)
        if len(first) * len(second) > WASTE * len(rows):
            return None
        place = which.reshape(-1) * len(second) + other.reshape(-1)
        full = len(first) * len(second) == len(rows)
        return Halves(
            _padded(first, 0, rows.shape[1]),
            _padded(second, cut, rows.shape[1]),
            None if full else torch.from_numpy(place),
        )

    @staticmethod
    def between(space: Space) -> "Halves | None":
        """The same halves read off the product's automaton, without listing its combinations."""
        slots, count = len(space.candidates), space.count()
        cut = slots // 2
        if cut == 0 or count < SHORT:
            return None
        first, _, middle = _paths(space, np.zeros(1, np.int64), range(cut))
        nodes, node_of = np.unique(middle, return_inverse=True)
        paths, origin, _ = _paths(space, nodes, range(cut, slots))
        second, which = np.unique(paths, axis=0, return_inverse=True)
        if len(first) * len(second) > WASTE * count:
            return None
        legal = np.zeros((len(nodes), len(second)), bool)
        legal[origin, which.reshape(-1)] = True
        place = np.flatnonzero(legal[node_of])
        full = len(place) == len(first) * len(second)
        return Halves(
            _padded(first, 0, slots),
            _padded(second, cut, slots),
            None if full else torch.from_numpy(place),
        )


def _paths(
    space: Space, nodes: np.ndarray, slots: range
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(choices (n, slots), which of `nodes` each path starts at, the node it ends at), in order."""
    chosen, origin = np.zeros((len(nodes), 0), np.int64), np.arange(len(nodes))
    for _ in slots:
        path, option = np.nonzero(space.step[nodes] >= 0)
        nodes = space.step[nodes[path], option]
        origin = origin[path]
        chosen = np.concatenate([chosen[path], (option - 1)[:, None]], axis=1)
    return chosen, origin, nodes


def _padded(half: np.ndarray, start: int, slots: int) -> Tensor:
    whole = np.full((len(half), slots), -1, np.int64)
    whole[:, start : start + half.shape[1]] = half
    return torch.from_numpy(whole)


def grid_rewards(pieces: Pieces, halves: Halves) -> Tensor:
    """(B, L) mean reward of every listed combination in each of the B contexts of one product."""
    scale = pieces.scale
    first, second = (_sums(pieces, half) for half in (halves.first, halves.second))
    base = mode(pieces.base, 1).double()

    def added(head: int) -> Tensor:
        pair = first.own[..., head][:, :, None] + second.own[..., head][:, None]
        return pair + base[:, head][:, None, None]

    click = torch.baddbmm(added(0), first.factor, second.factor.transpose(1, 2))
    reward = click.mul_(scale.slope).add_(scale.shift).sigmoid_()
    if scale.target != "click":
        value = added(VALUE) if base.shape[1] > VALUE else None
        reward = reward * scale.earned(reward, added(CHANCE), value)
    reward = reward.flatten(1)
    return reward if halves.place is None else reward[:, halves.place]


@dataclass(frozen=True, eq=False)
class Sums:
    """What n halves add by the mode: own (B, n, heads), factor (B, n, R)."""

    own: Tensor
    factor: Tensor


def _sums(pieces: Pieces, half: Tensor) -> Sums:
    """Sums over the elements of each half, with the interactions inside it."""
    shown = half >= 0
    slots = torch.arange(half.shape[1])
    at = half.clamp(min=0)
    own, pair = mode(pieces.unary, 3), mode(pieces.factor, 3)
    unary = (own[:, slots, at] * shown[..., None]).sum(2).double()
    parts = pair[:, slots, at] * shown[..., None]
    factor = parts.sum(2).double()
    unary[..., 0] += 0.5 * (factor.square() - parts.double().square().sum(2)).sum(2)
    return Sums(unary, factor)
