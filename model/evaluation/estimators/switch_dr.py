"""Switch doubly robust."""

import numpy as np

from model.evaluation.estimators.terms import Terms, predictions
from model.evaluation.logged import Seen


def switch_dr(seen: Seen, switch: float) -> Terms:
    """Doubly robust where w <= switch, the direct method's word where w is larger.

    Value = sum_i [n_i q_pi(x_i) + w_i 1(w_i <= switch) (r_i - n_i q(x_i, a_i))] / sum_i n_i.
    Source: Wang, Agarwal and Dudik (2017), "Optimal and adaptive off-policy evaluation".
    """
    q_logged, q_policy = predictions(seen)
    weight = np.where(seen.weight <= switch, seen.weight, 0.0)
    residual = seen.reward - seen.displays * q_logged
    return Terms(seen.displays * q_policy + weight * residual, seen.displays)
