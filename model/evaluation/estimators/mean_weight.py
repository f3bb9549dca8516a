"""The mean weight, which must be near 1."""

from model.evaluation.estimators.terms import Terms
from model.evaluation.logged import Seen


def mean_weight(seen: Seen) -> Terms:
    """Mean of w = pi/p, whose expectation is the policy's mass on what the log could show.

    Below 1: the log lacks support, or its propensities are too high. Above 1: they are too low.
    Source: the control of Swaminathan and Joachims (2015); E_p[pi/p] = 1 under full support.
    """
    return Terms(seen.weight * seen.displays, seen.displays)
