"""Within-product AUC on counts: does the reward model order what one product could show?"""

import numpy as np


def within_product_auc(
    score: np.ndarray,
    clicks: np.ndarray,
    displays: np.ndarray,
    product: np.ndarray,
    cluster: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(won, pairs), each (C,): sums per sorted cluster from which AUC = won.sum() / pairs.sum().

    A pair is a clicked and an unclicked display of the same product; it is won where the clicked
    one scored higher, half where they tie. All inputs are (n,); row i is clicks_i clicked displays
    of displays_i. A cluster's sum is the first-order change of the whole when the cluster is drawn
    once more, so resampling the sums bootstraps a statistic of pairs that cross clusters
    (placement values: DeLong et al. 1988; for clusters: Obuchowski 1997).
    """
    codes, at = np.unique(cluster, return_inverse=True)
    group = np.unique(product, return_inverse=True)[1]
    level = np.unique(score, return_inverse=True)[1]
    positive, negative = clicks, displays - clicks
    won, pairs = _pairs(group, level, positive, negative)
    own = group.astype(np.int64) * len(codes) + at
    own_won, own_pairs = _pairs(np.unique(own, return_inverse=True)[1], level, positive, negative)
    change_won = np.bincount(at, won - own_won / 2, len(codes))
    change_pairs = np.bincount(at, pairs - own_pairs / 2, len(codes))
    return _as_totals(change_won, change_pairs, won, pairs)


def _as_totals(
    change_won: np.ndarray, change_pairs: np.ndarray, won: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Changes per cluster, shifted evenly so that they sum to the statistic itself.

    theta* = (won + sum (m - 1) change) / (the same of pairs), and m sums to C over a draw, so the
    even shift leaves every draw as it is.
    """
    clusters = max(len(change_won), 1)
    whole_won, whole_pairs = won.sum() / 2, pairs.sum() / 2
    return (
        change_won + (whole_won - change_won.sum()) / clusters,
        change_pairs + (whole_pairs - change_pairs.sum()) / clusters,
    )


def _pairs(
    group: np.ndarray, level: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) each: pairs of its group that a row takes part in, and those won, ties half.

    Every pair is counted at both its rows, so the sums are twice the number of pairs.
    """
    order = np.lexsort((level, group))
    g, s, pos, neg = group[order], level[order], positive[order], negative[order]
    group_start = _starts(g)
    tie_start = _starts(g, s)
    below_pos, tied_pos, all_pos = _counted(pos, group_start, tie_start)
    below_neg, tied_neg, all_neg = _counted(neg, group_start, tie_start)
    above_pos = all_pos - below_pos - tied_pos
    won = pos * (below_neg + tied_neg / 2) + neg * (above_pos + tied_pos / 2)
    back = np.empty(len(order), dtype=np.intp)
    back[order] = np.arange(len(order))
    return won[back], (pos * all_neg + neg * all_pos)[back]


def _starts(*keys: np.ndarray) -> np.ndarray:
    """(n,) bool, True where a run of equal keys begins."""
    first = np.ones(len(keys[0]), dtype=bool)
    first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return first


def _counted(
    count: np.ndarray, group_start: np.ndarray, tie_start: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(below, tied, all) of a row's group, each (n,), rows sorted by group and score."""
    before = np.concatenate([[0.0], np.cumsum(count)])
    group_at, tie_at = np.cumsum(group_start) - 1, np.cumsum(tie_start) - 1
    group_edge = np.append(np.flatnonzero(group_start), len(count))
    tie_edge = np.append(np.flatnonzero(tie_start), len(count))
    below = before[tie_edge[tie_at]] - before[group_edge[group_at]]
    tied = before[tie_edge[tie_at + 1]] - before[tie_edge[tie_at]]
    return below, tied, before[group_edge[group_at + 1]] - before[group_edge[group_at]]
