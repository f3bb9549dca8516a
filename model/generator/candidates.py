"""K(x): the candidate set that the published policy reranks, a function of bundle and request.

Small products: every legal combination. Otherwise half of it are the combinations of highest
reward (exact where the product is listed, else a beam on the reward), the rest the generator's
most probable ones that are not among them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model.generator.policy import Asked, Proposer
from model.generator.search import Found, beam_top, exact_top, score

if TYPE_CHECKING:
    from model.reward.pieces import Pieces

GRAINS = 1e-3  # rewards are ranked in steps of so many temperatures


@dataclass(frozen=True, eq=False)
class Requests:
    """B requests whose products' spaces are alike in size (see `kind_of`)."""

    proposer: Proposer
    learned: bool  # False: there is no generator, the proposer is uniform
    asked: Asked
    pieces: "Pieces"
    kind: int

    @property
    def product(self) -> np.ndarray:
        """(B,) int64 position of each request's product in the lattice."""
        return self.asked.product


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """K(x) of B requests."""

    combinations: Tensor  # (B, C, S) int64 local indices, -1 = absent
    reward: Tensor  # (B, C) float64, -inf = padding
    share: Tensor  # (B, C) float64 softmax of reward / temperature, 0 = padding

    def share_of(self, request: Tensor, combinations: Tensor) -> Tensor:
        """(n, G) share of (n, G, S) combinations in the set of each one's request, 0 outside."""
        held, share = self.combinations[request][:, None], self.share[request][:, None]
        same = (combinations[:, :, None] == held).all(-1)
        return (same * share).sum(-1)


ALL, LISTED, SEARCHED = 0, 1, 2


def kind_of(count: int, candidates: int, exact: int) -> int:
    """How the set of a product with `count` legal combinations is made."""
    return ALL if count <= candidates else LISTED if count <= exact else SEARCHED


def candidate_set(requests: Requests, candidates: int, temperature: float) -> CandidateSet:
    """K(x) of the requests, at most `candidates` combinations each, with its softmax."""
    grain = GRAINS * temperature
    halved = requests.kind != ALL and requests.learned
    best = _best(requests, candidates // 2 if halved else candidates, grain)
    if halved:
        best = _joined(best, _proposed(requests, best, candidates))
    share = torch.softmax(best.reward / temperature, dim=1)
    return CandidateSet(best.combinations, best.reward, share)


def _best(requests: Requests, k: int, grain: float) -> Found:
    lattice, product = requests.proposer.lattice, requests.product
    if requests.kind == SEARCHED:
        return beam_top(requests.pieces, lattice, product, k, grain)
    return exact_top(requests.pieces, lattice.spaces, product, k, grain)


def _proposed(requests: Requests, best: Found, candidates: int) -> Found:
    """The generator's first combinations outside `best`, to fill the set up to `candidates`."""
    beam = requests.proposer.beam(requests.asked, candidates)
    known = torch.isfinite(best.reward)[:, None]
    same = (beam.combinations[:, :, None] == best.combinations[:, None]).all(-1) & known
    fresh = ~same.any(2) & torch.isfinite(beam.log_prob)
    room = candidates - best.reward.shape[1]
    order = torch.sort((~fresh).to(torch.int8), dim=1, stable=True).indices[:, :room]
    wide = order[:, :, None].expand(-1, -1, best.combinations.shape[2])
    chosen = beam.combinations.gather(1, wide)
    reward = score(requests.pieces, chosen)
    return Found(chosen, reward.masked_fill(~fresh.gather(1, order), -torch.inf))


def _joined(first: Found, second: Found) -> Found:
    return Found(
        torch.cat([first.combinations, second.combinations], dim=1),
        torch.cat([first.reward, second.reward], dim=1),
    )
