"""What an ensemble says: its first member is the mode, the others are drawn around it.

The first learns from all rows and has no anchor. Every other one stresses a random half of the
clusters and is drawn, its factors too, to an anchor from the prior (randomized priors, Osband et
al. 2018, arXiv 1806.03335), so that it lies off the mode about as far as the log leaves open.
"""

from torch import Tensor


def mode(values: Tensor, axis: int = -1) -> Tensor:
    """What the first member says; `axis` is that of the members."""
    return values.select(axis, 0)


def spread(values: Tensor, axis: int = -1) -> Tensor:
    """Root mean square of the others' distance from the first; 0 for a single member."""
    others = values.shape[axis] - 1
    if not others:
        return values.new_zeros(mode(values, axis).shape)
    off = values.narrow(axis, 1, others) - values.narrow(axis, 0, 1)
    return off.square().mean(axis).sqrt()
