"""Pseudo-inverse estimator for combinations of slots."""

import numpy as np

from model.evaluation.estimators.terms import Terms, slot_weights
from model.evaluation.logged import Seen


def pseudo_inverse(seen: Seen) -> Terms:
    """Value = sum_i w_i r_i / sum_i n_i with w the slots' weight of model/evaluation/slots.py.

    Unbiased where the expected reward is a sum over slots, of functions that may depend on product
    and context; interactions of elements bias it. Its variance grows with the sum of the slots'
    elements where that of IPS grows with their product. Rows without slot weights are left out.
    Source: Swaminathan et al. (2017), "Off-policy evaluation for slate recommendation".
    """
    weight, covered = slot_weights(seen)
    return Terms(weight * seen.reward, covered * seen.displays)


def clipped_pseudo_inverse(seen: Seen, clip: float) -> Terms:
    """The same with w bounded to [-clip, clip], self-normalised: what few rows decide."""
    weight, _ = slot_weights(seen)
    bounded = np.clip(weight, -clip, clip)
    return Terms(bounded * seen.reward, bounded * seen.displays)


def slot_mean_weight(seen: Seen) -> Terms:
    """Mean of the slots' w, which must be near 1: the constant is a sum over slots too.

    Below 1: the log lacks elements or combinations that the policy or the reference has, or its
    propensities are too high.
    """
    weight, covered = slot_weights(seen)
    return Terms(weight * seen.displays, covered * seen.displays)
