"""K(x): the candidate set that the published policy reranks, a function of bundle and request.

Small products: every legal combination. Otherwise half of it are the combinations of highest
reward (exact where the product is listed, else a beam on the reward), the rest the generator's
most probable ones that are not among them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.generator.policy import Asked, Proposer
from model.generator.rows import taken
from model.generator.search import beam_top, exact_best, score
from model.reward.scoring import Scores

GRAINS = 1e-3  # rewards are ranked in steps of so many temperatures


@dataclass(frozen=True, eq=False)
class Requests:
    """B requests whose products' spaces are alike in size (see `kind_of`)."""

    proposer: Proposer
    learned: bool  # False: there is no generator, the proposer is uniform
    asked: Asked
    pieces: Scores
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
        held, share = taken(self.combinations, request), taken(self.share, request)
        same = (combinations[:, :, None] == held[:, None]).all(-1)
        return (same * share[:, None]).sum(-1)


ALL, LISTED, SEARCHED = 0, 1, 2


def kind_of(count: int, candidates: int, exact: int) -> int:
    """How the set of a product with `count` legal combinations is made."""
    return ALL if count <= candidates else LISTED if count <= exact else SEARCHED


def candidate_set(requests: Requests, candidates: int, temperature: float) -> CandidateSet:
    """K(x) of the requests, at most `candidates` combinations each, with its softmax."""
    grain = GRAINS * temperature
    halved = requests.kind != ALL and requests.learned
    k = candidates // 2 if halved else candidates
    kept, known = best_combinations(requests, requests.pieces, k, grain)
    if halved:
        proposed, fresh = _proposed(requests, kept, known, candidates)
        kept, known = torch.cat([kept, proposed], dim=1), torch.cat([known, fresh], dim=1)
    reward = score(requests.pieces, kept).masked_fill(~known, -torch.inf)
    return CandidateSet(kept, reward, torch.softmax(reward / temperature, dim=1))


def best_combinations(
    requests: Requests, pieces: Scores, k: int, grain: float, rewards: int = 1
) -> tuple[Tensor, Tensor]:
    """(the combinations of highest reward (rewards x B, k, S), which of them are no padding).

    pieces: of every request, for so many rewards one after the other.
    """
    lattice, product = requests.proposer.lattice, np.tile(requests.product, rewards)
    if requests.kind == SEARCHED:
        found = beam_top(pieces, lattice, product, k, grain)
        return found.combinations, torch.isfinite(found.reward)
    return exact_best(pieces, lattice.spaces, product, k, grain, rewards)


def _proposed(
    requests: Requests, best: Tensor, known: Tensor, candidates: int
) -> tuple[Tensor, Tensor]:
    """The generator's first combinations outside `best`, to fill the set up to `candidates`."""
    beam = requests.proposer.beam(requests.asked, candidates)
    same = (beam.combinations[:, :, None] == best[:, None]).all(-1) & known[:, None]
    stale = same.any(2) | (beam.log_prob == -torch.inf)
    room = candidates - best.shape[1]
    ordered = torch.sort(stale, dim=1, stable=True)
    wide = ordered.indices[:, :room, None].expand(-1, -1, best.shape[2])
    return beam.combinations.gather(1, wide), ~ordered.values[:, :room]
