"""How sharply look k at challengers of the same champion may judge: alpha spending.

Judging a new challenger every day against the same champion is testing again and again. Look k
may be wrong with probability alpha / (zeta(2) k^2), so that all looks together, however many and
however dependent, are wrong with at most alpha (the union bound). Source: Lan and DeMets (1983),
"Discrete sequential boundaries for clinical trials", spending by the number of the look; the
sequence as in Tian and Ramdas (2021), "Online control of the familywise error rate".
docs/adr/0016 says why these shares and not others.
"""

import math
from dataclasses import dataclass

from model.evaluation.intervals import LEVEL

WHOLE = math.pi**2 / 6


def share(look: int) -> float:
    """The part of alpha that look number `look` spends: 6 / (pi k)^2, 0.61 of it at the first.

    Raises ValueError on a look before the first.
    """
    if look < 1:
        raise ValueError(f"found look {look}, expected 1 or later; count looks from 1")
    return 1 / (WHOLE * look**2)


def spent(look: int) -> float:
    """The part of alpha that looks 1 to `look` have spent together; below 1 for every look."""
    return sum(share(k) for k in range(1, look + 1))


@dataclass(frozen=True)
class Look:
    """The number of a look at the champion and the level of its two-sided intervals."""

    number: int
    level: float


def take(number: int, level: float = LEVEL) -> Look:
    """The look's level: 1 - (1 - `level`) times its share, `level` being that of all looks."""
    return Look(number, 1 - (1 - level) * share(number))
