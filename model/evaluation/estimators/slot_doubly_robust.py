"""Doubly robust with the slots' weights."""

import numpy as np

from model.evaluation.estimators.terms import Terms, predictions, slot_weights
from model.evaluation.logged import Seen


def slot_doubly_robust(seen: Seen) -> Terms:
    """Value = sum_i [n_i q_pi(x_i) + w_i (r_i - n_i q(x_i, a_i))] / sum_i n_i, w of the slots.

    Unbiased where what the reward model q leaves over is a sum over slots: interactions that q
    carries are not assumed away. q must not have been fitted on these rows.
    Source: Dudik, Langford and Li (2011) with the weights of Swaminathan et al. (2017), a control
    variate as in Vlassis, Chandrashekar, Amat Gil and Kallus (2021), "Control variates for slate
    off-policy evaluation".
    """
    weight, covered = slot_weights(seen)
    return _terms(seen, weight, covered)


def clipped_slot_doubly_robust(seen: Seen, clip: float) -> Terms:
    """The same with w bounded to [-clip, clip]: leans on q where the weights are large."""
    weight, covered = slot_weights(seen)
    return _terms(seen, np.clip(weight, -clip, clip), covered)


def _terms(seen: Seen, weight: np.ndarray, covered: np.ndarray) -> Terms:
    q_logged, q_policy = predictions(seen)
    residual = seen.reward - seen.displays * q_logged
    predicted = covered * seen.displays * q_policy
    return Terms(predicted + weight * residual, covered * seen.displays)
