"""What the generator learns on: products, their legal combinations, the log, a pool of contexts."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags
from model.combinations import Rules, Space, space_of
from model.elements import Elements
from model.generator.behaviour import Shown, displays_by_option, product_positions, shown_in
from model.generator.cells import distinct_cells, take_context
from model.generator.config import GeneratorConfig
from model.generator.encoding import Encoding
from model.generator.hints import Caution, hints
from model.generator.lattice import Lattice
from model.generator.policy import Shelf
from model.reward.scoring import RewardModel, Scores


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one training run is given."""

    bags: Bags
    elements: Elements
    rules: Rules
    reward: RewardModel
    context: Mapping[str, str]  # "categorical" or "number" by name
    config: GeneratorConfig
    seed: int
    device: str


@dataclass(frozen=True, eq=False)
class Pool:
    """(product, context) pairs drawn from the bags, with the reward of their combinations."""

    product: np.ndarray  # (n,) int64 position in the spaces
    context: Tensor  # (n, C) float32
    raw: dict[str, np.ndarray]  # the same contexts as the log has them
    pieces: Scores
    hint: Tensor  # (n, S, K + 1) float32
    caution: Caution


@dataclass(frozen=True, eq=False)
class Ground:
    """Everything that training reads; nothing of it changes while it runs."""

    spaces: list[Space]
    lattice: Lattice
    encoding: Encoding
    shelf: Shelf
    shown: Shown
    known: Tensor  # (P, S, K + 1) bool, False = an option that the log hardly showed
    pool: Pool
    without_legal: int  # products of the log that no combination is legal for
    digest: str


def prepare(lesson: Lesson) -> Ground:
    """The ground of one training run, the same for the same lesson."""
    bags, elements, config = lesson.bags, lesson.elements, lesson.config
    spaces, without_legal = _spaces(bags, elements, lesson.rules)
    lattice = Lattice.pack(spaces, lesson.device)
    encoding = Encoding.fit(
        elements,
        lattice.rows[lattice.rows >= 0],
        [space.product_id for space in spaces],
        bags.context,
        lesson.context,
        bins=config.bins,
        buckets=config.buckets,
        text_tokens=config.text_tokens,
    )
    shown = shown_in(bags, lattice, encoding, config.clip)
    pool = _pool(lesson, lattice, encoding)
    inputs = encoding.inputs(elements, lattice.rows[lattice.rows >= 0])
    shelf = Shelf.of(encoding, inputs, lattice).to(lesson.device)
    digest = _digest(lesson, encoding, shown, pool)
    known = (displays_by_option(bags, lattice) >= config.least_shown).to(lesson.device)
    return Ground(spaces, lattice, encoding, shelf, shown, known, pool, without_legal, digest)


def _spaces(bags: Bags, elements: Elements, rules: Rules) -> tuple[list[Space], int]:
    """The spaces of the bags' products, and how many of these have no legal combination."""
    found, reasons = [], []
    for product_id in sorted(set(bags.product_id.tolist())):
        try:
            found.append(space_of(product_id, elements, rules))
        except ValueError as error:
            reasons.append(str(error))
    if not found:
        raise ValueError(
            f"none of the {len(reasons)} products of the bags has a legal combination; first: "
            f"{reasons[0] if reasons else 'there are no bags'}"
        )
    return found, len(reasons)


def _pool(lesson: Lesson, lattice: Lattice, encoding: Encoding) -> Pool:
    """Distinct (product, context) pairs, drawn by impressions without replacement."""
    bags, config = lesson.bags, lesson.config
    product = product_positions(bags.product_id, lattice)
    cells = distinct_cells(bags.product_id, bags.context)
    weight = np.bincount(cells.of, np.where(product >= 0, bags.impressions, 0.0))
    size = min(config.pool, max(config.pool_candidates // lattice.rows[0].size, 1))
    size = min(size, int((weight > 0).sum()))
    rng = np.random.default_rng([lesson.seed, 0])
    drawn = rng.choice(len(weight), size, replace=False, p=weight / weight.sum())
    rows = cells.first[np.sort(drawn)]
    raw = take_context(bags.context, rows)
    names = [lattice.spaces[at].product_id for at in product[rows]]
    candidates = lattice.rows[product[rows]]
    pieces = lesson.reward.pieces(names, raw, lesson.elements, candidates, lesson.device)
    local = np.maximum(lattice.local(product[rows], bags.element[rows]), -1)
    limit = _support(pieces, torch.from_numpy(local).to(lesson.device), config.support)
    caution = Caution(config.pessimism, limit)
    context = encoding.context_rows(raw, size).to(lesson.device)
    present = torch.from_numpy(candidates >= 0).to(lesson.device)
    hint = hints(pieces, present, caution).float()
    return Pool(product[rows], context, raw, pieces, hint, caution)


def _support(pieces: Scores, shown: Tensor, factor: float) -> float:
    """`factor` times the 99 % quantile of spread / mean over (n, S) combinations really shown.

    What the log holds is what the reward model has seen, so its own spread there is the yardstick.
    """
    mean, spread = pieces.score(shown[:, None])
    relative = (spread / mean.abs().clamp(min=1e-12)).double().cpu().numpy()
    return float(factor * np.quantile(relative, 0.99)) + 1e-9


def _digest(lesson: Lesson, encoding: Encoding, shown: Shown, pool: Pool) -> str:
    """Digest of all that decides the weights: a checkpoint of other inputs is not gone on from."""
    facts = [asdict(lesson.config), lesson.seed, encoding.state(), pool.caution.limit]
    told = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in (shown.product, shown.reach, shown.combinations.numpy(), pool.product):
        told.update(np.ascontiguousarray(array).tobytes())
    told.update(pool.context.cpu().numpy().tobytes())
    return told.hexdigest()
