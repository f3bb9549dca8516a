"""IPS of slots that are chosen independently."""

import numpy as np

from model.evaluation.estimators.terms import Terms
from model.evaluation.logged import Seen


def independent_slots(seen: Seen) -> Terms:
    """Value = sum_i w_i r_i / sum_i n_i, w = nu/mu [1 + sum_s (pi_s(a_s)/nu_s(a_s) - 1)].

    Assumes, beside a reward that is a sum over slots, that rules tie no slots together; no slot is
    examined because of another (no cascade). Shown beside the others, never decides.
    Source: Li et al. (2018), "Offline evaluation of ranking policies with click models", the
    item-position model; for one reward a combination, Swaminathan et al. (2017), section 3.
    """
    if seen.independent_weight is None:
        raise ValueError("found no independent_weight, expected one a row; leave this one out")
    covered = np.isfinite(seen.independent_weight).astype(float)
    weight = np.nan_to_num(seen.independent_weight, nan=0.0)
    return Terms(weight * seen.reward, covered * seen.displays)
