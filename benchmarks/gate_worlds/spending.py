"""What other ways of spending 2.5 % over looks would do: the numbers behind docs/adr/0016.

Looks are normal with the correlation of two-day windows that share a day. The challenger is as
good as the champion, or better by what one look alone at 2.5 % finds in 80 % of cases.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from model.evaluation.spending import share

LOOKS, ALPHA, POWER = 20, 0.025, 0.8
NORMAL = NormalDist()
FAR = 1_000_000


@dataclass(frozen=True)
class Sequence:
    """false: promoted at all in 20 looks when as good. first, second, fifth, twentieth: power
    of that look; week: promoted at all in 7 looks when better."""

    name: str
    false: float
    first: float
    second: float
    fifth: float
    twentieth: float
    week: float


def sequences() -> dict[str, list[float]]:
    """Name -> shares of the first 20 looks; each but the first two sums to 1 over all looks."""
    looks = range(1, LOOKS + 1)
    found = {"no spending": [1.0] * LOOKS, "a twentieth each": [1 / LOOKS] * LOOKS}
    for p in (1.1, 1.5, 3.0):
        found[f"1 / k^{p:g}"] = [k**-p / zeta(p) for k in looks]
    found["1 / (k (k + 1))"] = [1 / (k * (k + 1)) for k in looks]
    found["1 / k^2 (ours)"] = [share(k) for k in looks]
    return found


def zeta(p: float) -> float:
    """The sum of k^-p over all k, the tail by its integral."""
    return math.fsum(k**-p for k in range(1, FAR)) + FAR ** (1 - p) / (p - 1)


def compare_sequences(reigns: int, rng: np.random.Generator) -> list[Sequence]:
    """Every sequence on the same simulated reigns."""
    day = rng.normal(size=(reigns, LOOKS + 1))
    z = (day[:, 1:] + day[:, :-1]) / math.sqrt(2)
    gain = -NORMAL.inv_cdf(ALPHA) + NORMAL.inv_cdf(POWER)
    found = []
    for name, shares in sequences().items():
        bound = np.array([-NORMAL.inv_cdf(ALPHA * one) for one in shares])
        first, second, fifth, last = (1 - NORMAL.cdf(bound[k] - gain) for k in (0, 1, 4, 19))
        week = float((z + gain > bound)[:, :7].any(1).mean())
        false = float((z > bound).any(1).mean())
        found.append(Sequence(name, false, first, second, fifth, last, week))
    return found
