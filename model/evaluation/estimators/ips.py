"""Inverse propensity score."""

from model.evaluation.estimators.terms import Terms
from model.evaluation.logged import Seen


def ips(seen: Seen) -> Terms:
    """Value = sum_i w_i r_i / sum_i n_i with w = pi/p: unbiased, of high variance.

    r_i is the sum of rewards of the row's n_i displays.
    Source: Horvitz and Thompson (1952); Bottou et al. (2013), "Counterfactual reasoning".
    """
    return Terms(seen.weight * seen.reward, seen.displays)
