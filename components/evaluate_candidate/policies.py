"""What a policy would do on the judged rows: propensities, drawn combinations, safety figures."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from components.evaluate_candidate.judge import Judge
from components.evaluate_candidate.slots import local
from components.training_set import TrainingSet
from model.bags import Bags
from model.bundle import Bundle
from model.combinations import space_of

PROBED = 2000  # drawn combinations whose probability gives the entropy
DRAWS = 4  # combinations drawn a row: the expectation of the judge's prediction under the policy
SHARE_DRAWS = 16  # and so many others: how often it shows each element
CHANCE_SHARE = 0.1  # an element counts as covered when shown a tenth as often as chance would


@dataclass(frozen=True)
class Seen:
    """One policy on n rows: propensity (n,) of what was shown, drawn (n, draws, S) rows in
    elements, others (n, more draws, S) drawn apart from them, q (n,) the judge's expected reward
    under the policy (None without a judge)."""

    propensity: np.ndarray
    drawn: np.ndarray
    others: np.ndarray
    q: np.ndarray | None
    entropy: float
    illegal: int


def see(bundle: Bundle, bags: Bags, rows: TrainingSet, judge: Judge | None, seed: int) -> Seen:
    """The bundle's policy over every element that the window knows."""
    policy = bundle.policy(rows.elements)
    rng = np.random.default_rng(seed)
    propensity, every = policy.replay(bags, DRAWS + SHARE_DRAWS, rng)
    drawn, others = every[:, :DRAWS], every[:, DRAWS:]
    shown = _as_bags(bags, rows, drawn)
    probed = np.unique(np.linspace(0, len(shown) - 1, min(PROBED, len(shown))).astype(int))
    chosen = policy.propensity(shown.take(probed))
    q = None
    if judge is not None:
        fold = np.repeat(judge.fold, DRAWS)
        q = judge.predict(shown, rows, fold).reshape(len(bags), DRAWS).mean(axis=1)
    return Seen(
        propensity=propensity,
        drawn=drawn,
        others=others,
        q=q,
        entropy=float(-np.log(np.maximum(chosen, 1e-300)).mean()) if len(chosen) else float("nan"),
        illegal=_illegal(bundle, rows, shown),
    )


def _as_bags(bags: Bags, rows: TrainingSet, drawn: np.ndarray) -> Bags:
    """The drawn combinations as bags in the context of the row that they were drawn for."""
    repeated = bags.take(np.repeat(np.arange(len(bags)), drawn.shape[1]))
    element = drawn.reshape(-1, drawn.shape[2]).astype(np.int32)
    history = rows.elements.history[np.maximum(element, 0)]
    known = np.where((element >= 0)[..., None], history, np.nan).astype(np.float32)
    return replace(repeated, element=element, history=known)


def _illegal(bundle: Bundle, rows: TrainingSet, shown: Bags) -> int:
    """How many of the drawn combinations the rules forbid, asked of the rules themselves."""
    count = 0
    for product in np.unique(shown.product_id.astype(str)):
        mine = shown.element[shown.product_id == product]
        space = space_of(product, rows.elements, bundle.rules)
        count += int((~space.legal(local(mine, space.candidates))).sum())
    return count


def safety(new: Seen, old: Seen | None, rows: TrainingSet) -> dict[str, Any]:
    """Illegal samples, entropy and coverage of the candidate, beside the champion's."""
    return {
        "sampled": int(new.drawn.shape[0] * new.drawn.shape[1]),
        "illegal": new.illegal,
        "entropy": new.entropy,
        "champion_entropy": None if old is None else old.entropy,
        "coverage": _coverage(new.drawn, rows),
        "champion_coverage": None if old is None else _coverage(old.drawn, rows),
    }


def _coverage(drawn: np.ndarray, rows: TrainingSet) -> float:
    """Share of the candidates of the products drawn for that chance would call shown."""
    shown = drawn[drawn >= 0]
    counts = np.bincount(shown, minlength=len(rows.elements))
    names, codes = np.unique(
        np.char.add(
            np.char.add(rows.elements.product_id.astype(str), "\x1f"),
            rows.elements.slot.astype(str),
        ),
        return_inverse=True,
    )
    in_slot = np.bincount(codes, weights=counts, minlength=len(names))
    candidates = np.bincount(codes, minlength=len(names))
    asked = in_slot[codes] > 0
    fair = in_slot[codes] / candidates[codes]
    return float((counts >= CHANCE_SHARE * fair)[asked].mean()) if asked.any() else float("nan")


def slice_labels(bags: Bags, rows: TrainingSet) -> dict[str, np.ndarray]:
    """Slices of the judged rows: each categorical context, and bags with an element new to the log."""
    labels = {
        name: values.astype(str)
        for name, values in bags.context.items()
        if values.dtype == object and len(np.unique(values.astype(str))) <= 30
    }
    if rows.elements.history.shape[1]:
        unseen = np.isnan(bags.history[:, :, 0]) & (bags.element >= 0)
        labels["elements"] = np.where(unseen.any(axis=1), "with a new one", "all known")
    return labels
