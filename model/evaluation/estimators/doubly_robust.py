"""Doubly robust."""

from model.evaluation.estimators.terms import Terms, predictions
from model.evaluation.logged import Seen


def doubly_robust(seen: Seen) -> Terms:
    """Value = sum_i [n_i q_pi(x_i) + w_i (r_i - n_i q(x_i, a_i))] / sum_i n_i.

    Unbiased where the propensities or the reward model are right; the reward model must not have
    been fitted on these rows (cross-fitting), nor be the one the generator trained on.
    Source: Dudik, Langford and Li (2011), "Doubly robust policy evaluation and learning".
    """
    q_logged, q_policy = predictions(seen)
    residual = seen.reward - seen.displays * q_logged
    return Terms(seen.displays * q_policy + seen.weight * residual, seen.displays)
