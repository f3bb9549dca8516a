"""Doubly robust with optimistic shrinkage."""

from model.evaluation.estimators.terms import Terms, predictions
from model.evaluation.logged import Seen


def shrunk_dr(seen: Seen, shrink: float) -> Terms:
    """Value = sum_i [n_i q_pi(x_i) + v_i (r_i - n_i q(x_i, a_i))] / sum_i n_i, v = s w / (w^2 + s).

    s = `shrink`: 0 is the direct method, infinity doubly robust; in between v is at most
    sqrt(s) / 2, so bias is traded for variance smoothly. v minimises an optimistic bound on the
    error. Source: Su, Dimakopoulou, Krishnamurthy and Dudik (2020), "Doubly robust off-policy
    evaluation with shrinkage", equation 5.
    """
    q_logged, q_policy = predictions(seen)
    if shrink == float("inf"):
        weight = seen.weight
    else:
        weight = seen.weight * (shrink / (seen.weight**2 + shrink)) if shrink else 0 * seen.weight
    residual = seen.reward - seen.displays * q_logged
    return Terms(seen.displays * q_policy + weight * residual, seen.displays)
