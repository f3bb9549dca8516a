"""How many times over binomial the clicks of equal rows vary."""

import numpy as np

from model.bags import Bags
from model.codes import coded

USUAL = 2.0  # where combinations are not repeated, so that nothing can be counted
FEWEST = 200  # degrees of freedom below which the usual value speaks
MOST = 20.0


def estimated(bags: Bags) -> float:
    """Pearson's chi-square of rows around their combination's own rate, a degree of freedom.

    At least 1 (rows of one display each can't vary more). Source: McCullagh and Nelder (1989),
    "Generalized linear models", section 4.5.
    """
    final = np.flatnonzero(bags.click_mature & (bags.impressions > 0))
    if not len(final):
        return USUAL
    product = coded(bags.product_id[final])[1]
    cells = np.column_stack([product, bags.element[final]])
    group = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    shown = bags.impressions[final]
    clicks = np.minimum(bags.clicks[final], shown)
    rate = (np.bincount(group, clicks) / np.bincount(group, shown))[group]
    known = (rate > 0) & (rate < 1)
    free = int(known.sum()) - len(np.unique(group[known]))
    if free < FEWEST:
        return USUAL
    p, n, k = rate[known], shown[known], clicks[known]
    return float(np.clip(((k - n * p) ** 2 / (n * p * (1 - p))).sum() / free, 1.0, MOST))
