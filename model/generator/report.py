"""What training achieved, in the reward model's own words: a page's figures, never a promotion.

The reward model that trained the generator does not judge it (DESIGN.md); these figures only say
whether the training did what it was to do.
"""

import numpy as np
import torch
from torch import Tensor

from model.generator.cells import take_context
from model.generator.ground import Ground, Lesson
from model.generator.lattice import Lattice
from model.generator.policy import Generator, Proposer
from model.generator.search import beam_top, exact_top, score
from model.reward.scoring import Scores

LISTED = 20_000  # legal combinations up to which the best is found exactly here
DRAWS = 16


def measured(
    generator: Generator, cloned: Generator, ground: Ground, lesson: Lesson
) -> dict[str, float]:
    """Mean rewards of uniform, clone and generator on a probe of the pool, beside the best ones.

    `reward_closed` is the share of the distance from uniform to the best that samples of the
    generator close. `distinct` is the share of its samples that differ within a request,
    `coverage` the share of candidates that are ever sampled.
    """
    pool, rng = ground.pool, np.random.default_rng([lesson.seed, 2])
    rows = np.sort(rng.permutation(len(pool.product))[: lesson.config.probe])
    products, which = np.unique(pool.product[rows], return_inverse=True)
    spaces, raw = [ground.spaces[p] for p in products], take_context(pool.raw, rows)
    lattice = Lattice.pack(spaces)
    names = [spaces[at].product_id for at in which]
    pieces = lesson.reward.pieces(names, raw, lesson.elements, lattice.rows[which], "cpu")
    policies = {
        "uniform": Proposer(lattice),
        "clone": cloned.over(lesson.elements, spaces),
        "generator": generator.over(lesson.elements, spaces),
    }
    asked = policies["generator"].asked(which, raw, pieces)
    every = torch.arange(len(rows))
    drawn = {name: policy.sample(asked, every, DRAWS, rng) for name, policy in policies.items()}
    found = {f"reward_{name}": float(score(pieces, shown).mean()) for name, shown in drawn.items()}
    first = policies["generator"].beam(asked, 1).combinations
    found["reward_beam"] = float(score(pieces, first).mean())
    found["reward_best"] = _best(pieces, lattice, which)
    span = found["reward_best"] - found["reward_uniform"]
    gain = found["reward_generator"] - found["reward_uniform"]
    return {
        **found,
        "reward_closed": gain / span if span > 0 else 1.0,
        "distinct": _distinct(drawn["generator"]),
        "coverage": _coverage(drawn["generator"], lattice, which),
        "illegal_bags": float(ground.shown.illegal),
        "products_without_legal": float(ground.without_legal),
        "support_limit": ground.pool.caution.limit,
    }


def _best(pieces: Scores, lattice: Lattice, which: np.ndarray) -> float:
    """Mean reward of each request's best combination (by a beam for the largest products)."""
    short = np.array([lattice.spaces[at].count() <= LISTED for at in which])
    best = torch.zeros(len(which), dtype=torch.float64)
    if short.any():
        rows = np.flatnonzero(short)
        part = pieces.take(torch.from_numpy(rows))
        spaces, own = _compact(lattice, which[rows])
        best[rows] = exact_top(part, spaces, own, 1, 1e-9).reward[:, 0]
    if not short.all():
        rows = np.flatnonzero(~short)
        part = pieces.take(torch.from_numpy(rows))
        best[rows] = beam_top(part, lattice, which[rows], 32, 1e-9).reward[:, 0]
    return float(best.mean())


def _compact(lattice: Lattice, which: np.ndarray) -> tuple[list, np.ndarray]:
    """The spaces that are asked for, and each request's position among them."""
    products, own = np.unique(which, return_inverse=True)
    return [lattice.spaces[at] for at in products], own


def _distinct(shown: Tensor) -> float:
    """Share of a request's samples that are different combinations, averaged."""
    counts = [len(torch.unique(group, dim=0)) for group in shown]
    return float(np.mean(counts)) / shown.shape[1]


def _coverage(shown: Tensor, lattice: Lattice, which: np.ndarray) -> float:
    """Share of the probed products' candidates that at least one sample shows."""
    seen = np.zeros(lattice.rows.shape, bool)
    local = shown.numpy()
    request, _, slot = np.nonzero(local >= 0)
    seen[which[request], slot, local[local >= 0]] = True
    return float(seen.sum() / (lattice.rows >= 0).sum())
