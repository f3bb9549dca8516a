"""How close answers are to a known truth: ranks of elements, calibration, coverage, excess loss."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from benchmarks.reward.lift import interval
from benchmarks.reward.shop import World
from benchmarks.reward.task import Answer, joined, logit
from model.bags import Bags
from model.elements import Elements
from model.evaluation.calibration import bin_of, calibration_error


@dataclass(frozen=True, eq=False)
class Asked:
    """n rows put to every way: first `even` ones, then logged ones, then fresh combinations.

    true (n,) click probability; kind (n,) 0, 1 or 2; effect, alone (n, S) true log-odds.
    """

    bags: Bags
    true: np.ndarray
    kind: np.ndarray
    effect: np.ndarray
    alone: np.ndarray
    elements: Elements


@dataclass(frozen=True, eq=False)
class Marks:
    """rank: Spearman with what elements add, and rank_alone with their main effect; error: share
    of the base rate; coverage: of 95 % intervals; loss and weight (P,): excess log loss by product;
    found, true (m,) centred effects of elements, nan = unknown; product (m,) code."""

    rank: float
    rank_alone: float
    error: float
    coverage: float
    loss: np.ndarray
    weight: np.ndarray
    found: np.ndarray
    true: np.ndarray
    product: np.ndarray

    @property
    def excess(self) -> float:
        """Log loss a display above that of the truth, times 100,000."""
        return float(1e5 * self.loss.sum() / self.weight.sum())


def ask(world: World, rows: int, seed: int) -> Asked:
    """The questions of one shop: rows of each kind."""
    a_product = max(rows // len(world.shop.truth.products), 1)
    even = world.even(a_product, seed)
    logged, true = world.fresh(rows, seed)
    fresh, true_fresh = world.fresh(rows, seed + 1, world.shop.uniform())
    bags = joined([even, logged, fresh])
    kind = np.repeat([0, 1, 2], [len(even), len(logged), len(fresh)])
    chances = np.concatenate([np.full(len(even), np.nan), true, true_fresh])
    return Asked(bags, chances, kind, *world.contributions(bags), world.elements)


def marks(asked: Asked, answer: Answer) -> Marks:
    """What an answer to the questions is worth; nan where it does not say."""
    even, logged, fresh = (np.flatnonzero(asked.kind == k) for k in range(3))
    assert answer.click is not None, "only ways that predict rates are asked"
    assert answer.element is not None, "and that say what elements earn"
    shown = asked.bags.element[even]
    found, true, alone = (
        means(values[even], shown, asked.elements)
        for values in (answer.element, asked.effect, asked.alone)
    )
    click, rate = answer.click[logged], asked.true[logged]
    cover = np.nan
    if answer.spread is not None and np.isfinite(answer.reach):
        cover = covered(answer.click[fresh], answer.reach * answer.spread[fresh], asked.true[fresh])
    product = _codes(asked.bags.product_id[logged])
    return Marks(
        rank=rank_correlation(found, true),
        rank_alone=rank_correlation(found, alone),
        error=error(click, rate),
        coverage=cover,
        loss=np.bincount(product, _divergence(rate, click)),
        weight=np.bincount(product).astype(np.float64),
        found=found,
        true=true,
        product=_codes(asked.elements.product_id),
    )


def _codes(names: np.ndarray) -> np.ndarray:
    return np.unique(names.astype(str), return_inverse=True)[1].reshape(-1)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's over the elements known to both, ties averaged; nan where either is constant."""
    known = np.isfinite(first) & np.isfinite(second)
    ranks = [rankdata(np.round(values[known], 9)) for values in (first, second)]
    if known.sum() < 2 or min(np.ptp(r) for r in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def paired_rank(first: Marks, second: Marks, draws: int = 400) -> tuple[float, float]:
    """95 % interval over products of the second's rank correlation less the first's."""
    rows = [np.flatnonzero(first.product == p) for p in range(int(first.product.max()) + 1)]
    rng, found = np.random.default_rng(0), np.empty(draws)
    for draw in range(draws):
        at = np.concatenate([rows[p] for p in rng.integers(len(rows), size=len(rows))])
        one, two = (rank_correlation(m.found[at], m.true[at]) for m in (first, second))
        found[draw] = two - one
    return interval(found)


def paired_excess(first: Marks, second: Marks, draws: int = 2000) -> tuple[float, float]:
    """95 % interval over products of the second's excess loss less the first's."""
    size = len(first.loss)
    drawn = np.random.default_rng(0).integers(size, size=(draws, size))
    weight = first.weight[drawn].sum(1)
    return interval(1e5 * (second.loss - first.loss)[drawn].sum(1) / weight)


def means(values: np.ndarray, shown: np.ndarray, elements: Elements) -> np.ndarray:
    """(m,) mean of each element's values (n, S), less the mean of its slot's; nan = not shown."""
    raw = element_means(values, shown, len(elements))
    code = _codes(np.char.add(elements.product_id.astype(str), elements.slot.astype(str)))
    known = np.isfinite(raw)
    level = np.bincount(code[known], raw[known], int(code.max()) + 1)
    level /= np.maximum(np.bincount(code[known], minlength=len(level)), 1)
    return raw - level[code]


def element_means(values: np.ndarray, shown: np.ndarray, size: int) -> np.ndarray:
    """(size,) mean of each element's values (n, S); nan where it is in no row."""
    here = shown >= 0
    count = np.bincount(shown[here], minlength=size)
    total = np.bincount(shown[here], values[here], size)
    return np.divide(total, count, out=np.full(size, np.nan), where=count > 0)


def error(click: np.ndarray, true: np.ndarray) -> float:
    """Sum over ten bins of |expected - true| clicks, as a share of the true."""
    place = bin_of(click, np.ones(len(click)))
    size = int(place.max()) + 1
    return float(calibration_error(np.bincount(place, true, size), np.bincount(place, click, size)))


def covered(click: np.ndarray, half: np.ndarray, true: np.ndarray) -> float:
    """Share of true rates inside the interval of this half width, which is symmetric in log-odds."""
    held = np.clip(click, 1e-9, 1 - 1e-9)
    wide = half / (held * (1 - held))
    return float(np.mean(np.abs(logit(true) - logit(click)) <= wide))


def _divergence(true: np.ndarray, click: np.ndarray) -> np.ndarray:
    held = np.clip(click, 1e-9, 1 - 1e-9)
    return true * np.log(true / held) + (1 - true) * np.log((1 - true) / (1 - held))


def doubled_inside(first: np.ndarray, second: np.ndarray, half: np.ndarray) -> float:
    """Share of elements whose attribution moved by no more than its interval's half width."""
    known = np.isfinite(first) & np.isfinite(second)
    return float(np.mean(np.abs(second - first)[known] <= half[known]))
