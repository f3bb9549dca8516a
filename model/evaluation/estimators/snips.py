"""Self-normalised inverse propensity score, and the same with clipped weights."""

import numpy as np

from model.evaluation.estimators.terms import Terms
from model.evaluation.logged import Seen


def snips(seen: Seen) -> Terms:
    """Value = sum_i w_i r_i / sum_i w_i n_i with w = pi/p: consistent, less variance than IPS.

    Does not move when rewards are shifted by a constant other than by that constant.
    Source: Swaminathan and Joachims (2015), "The self-normalized estimator for counterfactual
    learning".
    """
    return Terms(seen.weight * seen.reward, seen.weight * seen.displays)


def clipped_snips(seen: Seen, clip: float) -> Terms:
    """SNIPS with min(w, clip) for w: how far it differs from SNIPS says what few rows decide.

    Source: Ionides (2008), "Truncated importance sampling".
    """
    weight = np.minimum(seen.weight, clip)
    return Terms(weight * seen.reward, weight * seen.displays)
