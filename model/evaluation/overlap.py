"""How far the log can speak for another policy: the health figures of an estimate."""

from dataclasses import dataclass

import numpy as np

from model.evaluation.logged import Logged, Policy
from model.evaluation.totals import ratio


@dataclass(frozen=True)
class Overlap:
    """Sums behind the health figures of one policy; days merge with `+`.

    All but the largest weight are sums over displays, so counts give what single rows give.
    """

    displays: float
    unknown: float
    weight: float
    weight_square: float
    event: float
    event_weight: float
    event_weight_square: float
    supported: float
    largest_weight: float

    def __add__(self, other: "Overlap") -> "Overlap":
        mine, theirs = vars(self), vars(other)
        summed = {name: mine[name] + theirs[name] for name in mine}
        summed["largest_weight"] = max(self.largest_weight, other.largest_weight)
        return Overlap(**summed)

    def health(self) -> "Health":
        """The figures; nan where the log has no display of known propensity."""
        known = self.displays - self.unknown
        return Health(
            displays=self.displays,
            events=self.event,
            known_share=_over(known, self.displays),
            effective_sample=_effective(self.weight, self.weight_square, known),
            effective_events=_effective(self.event_weight, self.event_weight_square, known),
            largest_share=_over(self.largest_weight, max(self.weight, 0.0)),
            largest_weight=self.largest_weight if known else float("nan"),
            support=_over(self.supported, known),
        )


@dataclass(frozen=True)
class Health:
    """What a reader asks of an off-policy estimate.

    effective_sample: (sum w)^2 / sum w^2 over displays (Kish 1965): so many displays of the
        policy itself would say as much. effective_events: the same over rewarded displays.
    largest_share: share of the whole weight that one display has.
    support: share of the policy's mass on what the log could have shown.
    """

    displays: float
    events: float
    known_share: float
    effective_sample: float
    effective_events: float
    largest_share: float
    largest_weight: float
    support: float


def overlap(logged: Logged, policy: Policy = "challenger") -> Overlap:
    """The sums of the rows of known propensity.

    Support is taken from Logged.support; without it, it is the mean weight, whose expectation
    is the same share, capped at 1 (E_p[pi/p] is pi's mass where p > 0).
    """
    support = logged.support if policy == "challenger" else None
    return _sums(logged, logged.seen(policy).weight, logged.known, support)


def slot_overlap(logged: Logged, policy: Policy = "challenger") -> Overlap:
    """The same sums of the slots' weights, over the rows that have one; ValueError without any."""
    weight = logged.seen(policy).slot_weight
    if weight is None:
        raise ValueError("found no slot weights, expected Logged.slot_challenger; give them")
    covered = np.isfinite(weight)
    rows = logged.known.copy()
    rows[rows] = covered
    return _sums(logged, weight[covered], rows, None)


def _sums(
    logged: Logged, weight: np.ndarray, rows: np.ndarray, support: np.ndarray | None
) -> Overlap:
    """Of the rows (n,) bool and their weights."""
    events = (logged.reward if logged.events is None else logged.events)[rows]
    displays = logged.displays[rows]
    shown, whole = float(displays.sum()), float((weight * displays).sum())
    supported = min(max(whole, 0.0), shown)
    if support is not None:
        supported = float((support[rows] * displays).sum())
    return Overlap(
        displays=float(logged.displays.sum()),
        unknown=float(logged.displays[~rows].sum()),
        weight=whole,
        weight_square=float((weight**2 * displays).sum()),
        event=float(events.sum()),
        event_weight=float((weight * events).sum()),
        event_weight_square=float((weight**2 * events).sum()),
        supported=supported,
        largest_weight=float(np.max(np.abs(weight), initial=0.0, where=displays > 0)),
    )


def _over(part: float, whole: float) -> float:
    return float(ratio(part, whole))


def _effective(weight: float, square: float, known: float) -> float:
    """0 where nothing of the log is what the policy does, nan where nothing is known."""
    if not known:
        return float("nan")
    return weight**2 / square if weight > 0 else 0.0
