"""What was logged, as the policies judged on it see it."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

Policy = Literal["challenger", "incumbent"]
POLICIES: tuple[Policy, ...] = ("challenger", "incumbent")
ROUNDING = 1e-6
SLOT_WEIGHTS = (
    "slot_challenger",
    "slot_incumbent",
    "independent_challenger",
    "independent_incumbent",
)

CHECKS: tuple[tuple[tuple[str, ...], str, Callable[[np.ndarray], np.ndarray]], ...] = (
    (("reward", "q_logged", "q_challenger", "q_incumbent"), "finite", np.isfinite),
    (("displays", "events"), "finite and >= 0", lambda x: np.isfinite(x) & (x >= 0)),
    (
        ("pi_challenger", "pi_incumbent", "support"),
        "probabilities in [0, 1]",
        lambda x: (x >= 0) & (x <= 1 + ROUNDING),
    ),
    (SLOT_WEIGHTS, "finite, or nan for unknown", lambda x: ~np.isinf(x)),
    (
        ("propensity",),
        "in (0, 1], or nan for unknown",
        lambda x: np.isnan(x) | ((x > 0) & (x <= 1 + ROUNDING)),
    ),
)


@dataclass(frozen=True)
class Seen:
    """The rows of known propensity as one policy sees them. All arrays are (n,) float64.

    `weight` is pi(a|x) / p(a|x). `q_logged` is the predicted reward of one display of what was
    shown and `q_policy` its expectation under the policy; None where no reward model was given.
    `slot_weight` and `independent_weight` are the slots' (slots.py), nan = unknown for the row.
    """

    displays: np.ndarray
    reward: np.ndarray
    weight: np.ndarray
    q_logged: np.ndarray | None
    q_policy: np.ndarray | None
    slot_weight: np.ndarray | None = None
    independent_weight: np.ndarray | None = None

    def rows(self, chosen: slice) -> "Seen":
        """Some of the rows, without copying them."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v[chosen] for k, v in columns.items() if v is not None})


@dataclass(frozen=True)
class Logged:
    """Rows of the log with the probabilities of two policies; row i stands for displays_i displays.

    reward (n,): sum over the row's displays (clicks, conversions, value).
    displays (n,): how often the row's combination was shown (1 for an event log).
    propensity (n,): probability with which the log showed it, in (0, 1]; nan = unknown.
    pi_challenger, pi_incumbent (n,): each policy's probability of the row's combination.
        pi_incumbent None: the incumbent is the logging policy itself, its weight is exactly 1.
    cluster (n,): what is drawn as one (user, else product and day); any sortable codes, the same
        code on different days being the same cluster.
    q_logged, q_challenger, q_incumbent (n,): predicted reward of one display of what was shown,
        and its expectation under each policy; from a reward model the generator never saw.
    events (n,): rewarded displays of the row where reward is not itself a count (value).
    support (n,): challenger's mass, in the row's context, on what the log could have shown.
    slot_challenger, slot_incumbent, independent_challenger, independent_incumbent (n,): weights
        of slots.py, may be negative; nan = unknown, which leaves the row out of slot estimates
        of both policies.

    Raises ValueError on a shape, a probability or a number that cannot be.
    """

    reward: np.ndarray
    displays: np.ndarray
    propensity: np.ndarray
    pi_challenger: np.ndarray
    cluster: np.ndarray
    pi_incumbent: np.ndarray | None = None
    q_logged: np.ndarray | None = None
    q_challenger: np.ndarray | None = None
    q_incumbent: np.ndarray | None = None
    events: np.ndarray | None = None
    support: np.ndarray | None = None
    slot_challenger: np.ndarray | None = None
    slot_incumbent: np.ndarray | None = None
    independent_challenger: np.ndarray | None = None
    independent_incumbent: np.ndarray | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            column = getattr(self, field.name)
            if column is not None:
                typed = np.asarray(column, None if field.name == "cluster" else np.float64)
                object.__setattr__(self, field.name, typed)
                _check_shape(field.name, typed, len(np.asarray(self.reward)))
        _check_numbers(self)
        _check_together(self)

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def known(self) -> np.ndarray:
        """(n,) bool, True where the propensity was logged."""
        return np.isfinite(self.propensity)

    @property
    def known_share(self) -> float:
        """Share of displays whose propensity was logged; nan without displays."""
        displays = float(self.displays.sum())
        return float(self.displays[self.known].sum()) / displays if displays else float("nan")

    def take(self, index: np.ndarray) -> "Logged":
        """The rows chosen by an index or a mask."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v[index] for k, v in columns.items() if v is not None})

    def seen(self, policy: Policy) -> Seen:
        """The rows of known propensity with the policy's weights.

        The logging policy's weight is 1 and the log is its own prediction, so that every
        estimator gives it the mean of the log.
        """
        rows = self if self.known.all() else self.take(self.known)
        slot, alone = rows.covered(rows.slot_challenger), rows.covered(rows.independent_challenger)
        pi, q = rows.pi_challenger, rows.q_challenger
        if policy == "incumbent":
            if rows.pi_incumbent is None:
                return _seen_by_the_log(rows, _ones(slot), _ones(alone))
            slot = rows.covered(rows.slot_incumbent)
            alone = rows.covered(rows.independent_incumbent)
            pi, q = rows.pi_incumbent, rows.q_incumbent
        weight = pi / rows.propensity
        return Seen(rows.displays, rows.reward, weight, rows.q_logged, q, slot, alone)

    def covered(self, weight: np.ndarray | None) -> np.ndarray | None:
        """A slots' weight, nan wherever that of either policy is unknown."""
        columns = (self.slot_challenger, self.slot_incumbent)
        if weight is None or not any(column is not None for column in columns):
            return weight
        unknown = sum(np.isnan(column) for column in columns if column is not None)
        return np.where(unknown, np.nan, weight)


def _ones(weight: np.ndarray | None) -> np.ndarray | None:
    return None if weight is None else np.where(np.isnan(weight), np.nan, 1.0)


def _seen_by_the_log(rows: Logged, slot: np.ndarray | None, alone: np.ndarray | None) -> Seen:
    shown = rows.displays > 0
    rate = np.divide(rows.reward, rows.displays, out=np.zeros(len(rows)), where=shown)
    return Seen(rows.displays, rows.reward, np.ones(len(rows)), rate, rate, slot, alone)


def _check_shape(name: str, column: np.ndarray, rows: int) -> None:
    if column.shape != (rows,):
        raise ValueError(
            f"Logged.{name} has shape {column.shape}, expected ({rows},) as reward has; "
            "give one number a row"
        )


def _refuse(name: str, bad: np.ndarray, column: np.ndarray, expected: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"Logged.{name}: {int(bad.sum())} of {len(column)} rows are not {expected}; first: "
            f"row {row}, {column[row]}; quarantine them before evaluating"
        )


def _check_numbers(logged: Logged) -> None:
    for names, expected, fit in CHECKS:
        for name in names:
            column = getattr(logged, name)
            if column is not None:
                _refuse(name, ~fit(column), column, expected)


def _check_together(logged: Logged) -> None:
    if (logged.q_logged is None) != (logged.q_challenger is None):
        raise ValueError(
            "Logged has one of q_logged and q_challenger, expected both or neither; "
            "predict what was shown and its expectation with the same reward model"
        )
    compared = logged.pi_incumbent is not None
    if compared and (logged.q_incumbent is None) != (logged.q_logged is None):
        raise ValueError("Logged.q_incumbent must be given exactly where q_logged is")
    for kind in ("slot", "independent"):
        mine, theirs = (getattr(logged, f"{kind}_{policy}") for policy in POLICIES)
        if (theirs is not None) != (compared and mine is not None):
            raise ValueError(
                f"Logged.{kind}_incumbent must be given exactly where pi_incumbent and "
                f"{kind}_challenger are; weigh both policies or neither"
            )
    if not compared and logged.q_incumbent is not None:
        raise ValueError(
            "Logged.q_incumbent was given without pi_incumbent; leave both out where the "
            "incumbent is the logging policy"
        )
