"""Where the candidates of products stand before the encoder and after it."""

import numpy as np
import torch
from torch import Tensor

from model.combinations import Space
from model.generator.lattice import Lattice
from model.generator.network import Places
from model.generator.shared import Shared


def places_of(place: np.ndarray, device: torch.device) -> tuple[Places, Tensor]:
    """(places, each candidate's row in the inputs (n,)) of a (P, S, K) shelf."""
    flat = place.reshape(len(place), -1)
    if len(flat) == 1:
        return _places_of_one(flat[0], place.shape[1], device)
    owner, card = np.nonzero(flat >= 0)
    sizes = (flat >= 0).sum(1)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    token = owner * int(sizes.max()) + np.arange(len(owner)) - first[owner]
    moved = [
        torch.from_numpy(part).to(device)
        for part in (token, owner * flat.shape[1] + card, flat[owner, card])
    ]
    present = torch.from_numpy(np.arange(int(sizes.max())) < sizes[:, None]).to(device)
    places = Places(moved[0], moved[1], present, place.shape[1], place.shape[2])
    return places, moved[2]


def _places_of_one(row: np.ndarray, slots: int, device: torch.device) -> tuple[Places, Tensor]:
    card = np.flatnonzero(row >= 0)
    moved = [torch.from_numpy(part).to(device) for part in (card, row[card])]
    token = torch.arange(len(card), device=device)
    present = torch.ones(1, len(card), dtype=torch.bool, device=device)
    return Places(token, moved[0], present, slots, len(row) // slots), moved[1]


_alone = Shared(lambda space: places_of(Lattice.pack([space]).rows, torch.device("cpu"))[0])


def alone_of(space: Space) -> Places:
    """Those of a single product's candidates, in the order of its lattice's rows."""
    return _alone.of(space)
