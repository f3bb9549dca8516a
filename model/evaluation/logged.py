"""What was logged, as the policies judged on it see it."""

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

Policy = Literal["challenger", "incumbent"]
POLICIES: tuple[Policy, ...] = ("challenger", "incumbent")
ROUNDING = 1e-6


@dataclass(frozen=True)
class Seen:
    """The rows of known propensity as one policy sees them. All arrays are (n,) float64.

    `weight` is pi(a|x) / p(a|x). `q_logged` is the predicted reward of one display of what was
    shown and `q_policy` its expectation under the policy; None where no reward model was given.
    """

    displays: np.ndarray
    reward: np.ndarray
    weight: np.ndarray
    q_logged: np.ndarray | None
    q_policy: np.ndarray | None


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
        pi, q = rows.pi_challenger, rows.q_challenger
        if policy == "incumbent":
            if rows.pi_incumbent is None:
                return _seen_by_the_log(rows)
            pi, q = rows.pi_incumbent, rows.q_incumbent
        return Seen(rows.displays, rows.reward, pi / rows.propensity, rows.q_logged, q)


def _seen_by_the_log(rows: Logged) -> Seen:
    shown = rows.displays > 0
    rate = np.divide(rows.reward, rows.displays, out=np.zeros(len(rows)), where=shown)
    return Seen(rows.displays, rows.reward, np.ones(len(rows)), rate, rate)


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
    for name in ("reward", "q_logged", "q_challenger", "q_incumbent"):
        column = getattr(logged, name)
        if column is not None:
            _refuse(name, ~np.isfinite(column), column, "finite")
    for name in ("displays", "events"):
        column = getattr(logged, name)
        if column is not None:
            _refuse(name, ~(np.isfinite(column) & (column >= 0)), column, "finite and >= 0")
    for name in ("pi_challenger", "pi_incumbent", "support"):
        column = getattr(logged, name)
        if column is not None:
            fit = (column >= 0) & (column <= 1 + ROUNDING)
            _refuse(name, ~fit, column, "probabilities in [0, 1]")
    p = logged.propensity
    _refuse("propensity", (p <= 0) | (p > 1 + ROUNDING), p, "in (0, 1], or nan for unknown")


def _check_together(logged: Logged) -> None:
    if (logged.q_logged is None) != (logged.q_challenger is None):
        raise ValueError(
            "Logged has one of q_logged and q_challenger, expected both or neither; "
            "predict what was shown and its expectation with the same reward model"
        )
    compared = logged.pi_incumbent is not None
    if compared and (logged.q_incumbent is None) != (logged.q_logged is None):
        raise ValueError("Logged.q_incumbent must be given exactly where q_logged is")
    if not compared and logged.q_incumbent is not None:
        raise ValueError(
            "Logged.q_incumbent was given without pi_incumbent; leave both out where the "
            "incumbent is the logging policy"
        )
