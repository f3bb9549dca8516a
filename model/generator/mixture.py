"""The published mixture over a batch of requests: probabilities, draws, the most probable."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.generator.candidates import CandidateSet, Requests
from model.generator.policy import Proposer
from model.generator.rows import taken
from model.generator.search import ENUMERABLE, score

LISTED = 100_000  # legal combinations up to which a request's whole distribution is computed
WIDEST = 4096  # beam for the generator's own favourites among more
WIDE = 256  # and the first try, of a whole batch at once
_GRAIN = 2.0**40  # probabilities are ranked in steps of 1 / _GRAIN


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The published policy's settings; `temperature` is in the reward's unit."""

    explore: float = 0.02
    uniform: float = 0.02
    sampled: float = 0.0  # share that follows rewards drawn from the ensemble (sampled.py)
    deviation: float = 0.3  # how far these lie off the mean one, of the ensemble's own distance
    temperature: float
    candidates: int = 32  # size of K(x)
    exact: int = ENUMERABLE  # legal combinations up to which K(x) holds the exact best rewards

    def __post_init__(self) -> None:
        shares = (self.explore, self.uniform, self.sampled)
        if not (min(shares) >= 0 and sum(shares) <= 1):
            raise ValueError(
                f"mixture has explore {self.explore}, uniform {self.uniform} and sampled "
                f"{self.sampled}; expected shares of at least 0 whose sum is at most 1"
            )
        if not 0 < self.deviation < float("inf"):
            raise ValueError(
                f"mixture has deviation {self.deviation}; expected a number above 0, such as 0.3"
            )
        if not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"mixture has temperature {self.temperature}; expected a number above 0 in the "
                "reward's unit, such as a tenth of the base rate"
            )
        if self.candidates < 2:
            raise ValueError(f"mixture has {self.candidates} candidates; expected at least 2")


@dataclass(frozen=True, eq=False)
class Batch:
    """B requests with their candidate sets; `cells` says which requests of the caller they are."""

    requests: Requests
    kept: CandidateSet
    sampled: (
        CandidateSet | None
    )  # what drawn rewards would show, where the mixture has a share of it
    cells: np.ndarray  # (B,) int64


@dataclass(frozen=True, eq=False)
class Ranking:
    """Combinations of one request, most probable first."""

    combinations: np.ndarray  # (k, S) int64 local indices
    probability: np.ndarray  # (k,) float64
    reward: np.ndarray  # (k,) float64


def probability(
    batch: Batch, row: Tensor, combinations: Tensor, mixture: Mixture, legal: bool = False
) -> Tensor:
    """(n, G) float64 probability of (n, G, S) combinations, `row` (n,) being their requests.

    legal: all of them are known to be, as those that are `drawn`.
    """
    requests = batch.requests
    log_prob = requests.proposer.log_prob(requests.asked, row, combinations, legal)
    product = taken(torch.from_numpy(requests.asked.product), row)
    even = mixture.uniform * taken(requests.proposer.lattice.even, product)[:, None]
    rest = max(0.0, 1 - mixture.explore - mixture.uniform - mixture.sampled)
    chance = (
        rest * batch.kept.share_of(row, combinations)
        + mixture.explore * log_prob.exp()
        + (even if legal else even * torch.isfinite(log_prob))
    )
    if batch.sampled is not None:
        chance = chance + mixture.sampled * batch.sampled.share_of(row, combinations)
    return chance


def drawn(
    batch: Batch, row: Tensor, draws: int, mixture: Mixture, rng: np.random.Generator
) -> Tensor:
    """(n, draws, S) combinations: first which part of the mixture, then one of that part."""
    requests, shape = batch.requests, (len(row), draws)
    part = rng.random(shape)
    shown = _by_share(batch.kept, row, torch.from_numpy(rng.random(shape)))
    learned, even = requests.proposer, Proposer(requests.proposer.lattice)
    explored, others = mixture.explore, mixture.explore + mixture.uniform
    parts = ((learned, 0.0, explored), (even, explored, others)) if (part < others).any() else ()
    for proposer, below, above in parts:
        here = (part >= below) & (part < above)
        if not here.any():
            continue
        lines = torch.from_numpy(np.flatnonzero(here.any(1)))
        other = proposer.sample(requests.asked, row[lines], draws, rng)
        own = torch.from_numpy(here)[lines][..., None]
        shown[lines] = torch.where(own, other, shown[lines])
    if batch.sampled is not None:
        own = torch.from_numpy(part >= 1 - mixture.sampled)[..., None]
        other = _by_share(batch.sampled, row, torch.from_numpy(rng.random(shape)))
        shown = torch.where(own, other, shown)
    return shown


def _by_share(kept: CandidateSet, row: Tensor, aim: Tensor) -> Tensor:
    """(n, draws, S) drawn from each request's candidate set by its softmax."""
    reach = taken(kept.share.cumsum(1), row)
    whole = reach[:, None, -1:]
    past = (reach[:, None] <= aim[:, :, None] * whole).sum(2)
    last = (reach < whole[:, 0]).sum(1)  # where the sum is reached, so that its share is above 0
    pick = torch.minimum(past, last[:, None])
    wide = pick[:, :, None].expand(-1, -1, kept.combinations.shape[2])
    return taken(kept.combinations, row).gather(1, wide)


def top(batch: Batch, k: int, mixture: Mixture) -> list[Ranking]:
    """The k most probable combinations of each request (all, where it has fewer).

    Outside K(x) and a beam of the generator nothing is more probable than the beam's bound says.
    Where that doesn't settle the first k, a product with up to 100,000 legal combinations is
    listed in full; a larger one gets the best of a beam of 4,096.
    """
    requests = batch.requests
    held, known, bound = _likely(batch, min(max(k, mixture.candidates), WIDE), mixture)
    every = torch.arange(len(held))
    chance = probability(batch, every, held, mixture).masked_fill(~known, -1.0)
    reward = score(requests.pieces, held)
    rankings = []
    for at in range(len(held)):
        space = requests.proposer.lattice.spaces[requests.product[at]]
        rows = known[at].nonzero()[:, 0]
        ranking = _ranking(held[at, rows], chance[at, rows], reward[at, rows], k)
        short = len(ranking.probability) < k or ranking.probability[-1] < float(bound[at])
        if short and len(rows) < space.count():
            ranking = _searched(batch, at, k, mixture)
        rankings.append(ranking)
    return rankings


def _likely(batch: Batch, width: int, mixture: Mixture) -> tuple[Tensor, Tensor, Tensor]:
    """(combinations (B, L, S), which are valid and not repeated, bound on all the others (B,))."""
    requests, kept = batch.requests, batch.kept
    beam = requests.proposer.beam(requests.asked, width)
    held, known = kept.combinations, torch.isfinite(kept.reward)
    if batch.sampled is not None:
        more = batch.sampled.combinations
        fresh = _firsts(more, torch.isfinite(batch.sampled.reward)) & ~_among(more, held, known)
        held, known = torch.cat([held, more], dim=1), torch.cat([known, fresh], dim=1)
    fresh = torch.isfinite(beam.log_prob) & ~_among(beam.combinations, held, known)
    even = requests.proposer.lattice.even[torch.from_numpy(requests.product)]
    bound = mixture.explore * beam.bound.exp() + mixture.uniform * even
    return (
        torch.cat([held, beam.combinations], dim=1),
        torch.cat([known, fresh], dim=1),
        bound,
    )


def _among(combinations: Tensor, others: Tensor, known: Tensor) -> Tensor:
    """(B, n) which of (B, n, S) are among the known ones of others (B, m, S)."""
    same = (combinations[:, :, None] == others[:, None]).all(-1)
    return (same & known[:, None]).any(2)


def _firsts(combinations: Tensor, known: Tensor) -> Tensor:
    """(B, n) which of the known ones of (B, n, S) stand there for the first time."""
    same = (combinations[:, :, None] == combinations[:, None]).all(-1) & known[:, None]
    return known & ~same.tril(-1).any(2)


def _searched(batch: Batch, at: int, k: int, mixture: Mixture) -> Ranking:
    """The first k of one request from its whole list, or from a wide beam where that is long."""
    requests, row = batch.requests, torch.tensor([at])
    space = requests.proposer.lattice.spaces[requests.product[at]]
    if space.count() <= LISTED:
        held = torch.from_numpy(space.enumerate(LISTED).astype(np.int64))[None]
    else:
        one = requests.asked.take(np.array([at]))
        beam = requests.proposer.beam(one, max(k, WIDEST))
        every = [one.combinations[at] for one in (batch.kept, batch.sampled) if one is not None]
        held = torch.unique(torch.cat([*every, beam.combinations[0]]), dim=0)[None]
    chance = probability(batch, row, held, mixture)[0]
    reward = score(requests.pieces.take(row), held)[0]
    return _ranking(held[0], chance, reward, k)


def _ranking(combinations: Tensor, chance: Tensor, reward: Tensor, k: int) -> Ranking:
    """The first k by probability, ties in the order of `Space.enumerate`."""
    listed = combinations.numpy()
    steps = np.round(chance.numpy() * _GRAIN)
    order = np.lexsort((*listed.T[::-1], -steps))[:k]
    return Ranking(listed[order], chance.numpy()[order], reward.numpy()[order])
