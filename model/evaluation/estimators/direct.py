"""Direct method."""

from model.evaluation.estimators.terms import Terms, predictions
from model.evaluation.logged import Seen


def direct(seen: Seen) -> Terms:
    """Value = sum_i n_i q_pi(x_i) / sum_i n_i: what the reward model says, biased as it is.

    Shown beside the others, never decides, and never stands in for them.
    Source: Beygelzimer and Langford (2009), "The offset tree".
    """
    _, q_policy = predictions(seen)
    return Terms(seen.displays * q_policy, seen.displays)
