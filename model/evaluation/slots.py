"""Weights for policies that choose slot by slot: they ask the log for elements, not combinations.

A combination of S slots is a row of options, one a slot (0 = absent, an element of its own). With
1_a the indicator of (slot, option) pairs of a, q_pi = E_pi[1_a], and a reward that is a sum over
slots, the weight

    w(a) = nu(a) / mu(a) * q_pi' pinv(Gamma_nu) 1_a,    Gamma_nu = E_nu[1_a 1_a'],

is unbiased: E_mu[w 1_a'] = q_pi' pinv(Gamma_nu) Gamma_nu = q_pi'. With nu = mu it is the
pseudo-inverse estimator of Swaminathan et al. (2017), "Off-policy evaluation for slate
recommendation". Any other reference nu that the log supports, chosen without the judged rows, asks
of mu only what IPS asks, the propensity of what was shown; the nearer nu is to mu, the less the
weights vary. The weight is linear in q_pi, so a mean of draws may stand for it (docs/adr/0015).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

CUTOFF = 1e-10  # eigenvalues of Gamma below this share of the largest are 0
EVEN = 1e-6  # relative: how far apart a propensity and the reference may be and count as the same


@dataclass(frozen=True, eq=False)
class Reference:
    """nu of one product: combinations (L, S) options, chance (L,) summing to 1, options (S,) each
    slot's number of options. Raises ValueError where these can't be a distribution."""

    combinations: np.ndarray
    chance: np.ndarray
    options: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.combinations.shape != (len(self.chance), len(self.options)):
            raise ValueError(
                f"found combinations of shape {self.combinations.shape}, expected "
                f"({len(self.chance)}, {len(self.options)}): a row a chance, a column a slot"
            )
        whole = float(self.chance.sum())
        if not (np.all(self.chance >= 0) and abs(whole - 1) < EVEN):
            raise ValueError(f"found chances that sum to {whole}, expected 1 and none below 0")

    @cached_property
    def start(self) -> np.ndarray:
        """(S,) the column of each slot's first option among the D = sum(options) indicators."""
        return np.cumsum(np.array((0, *self.options[:-1])))

    @cached_property
    def gram(self) -> np.ndarray:
        """(D, D) Gamma_nu: how often two elements are shown together."""
        size = sum(self.options)
        place = self.combinations + self.start
        pairs = [place[:, s] * size + place[:, t] for s in range(len(self.start))
                 for t in range(len(self.start))]  # fmt: skip
        sums = [np.bincount(pair, self.chance, size * size) for pair in pairs]
        return np.sum(sums, axis=0).reshape(size, size)

    @cached_property
    def inverse(self) -> np.ndarray:
        """(D, D) the Moore-Penrose inverse of Gamma_nu."""
        return np.linalg.pinv(self.gram, rcond=CUTOFF, hermitian=True)

    def chance_of(self, shown: np.ndarray) -> np.ndarray:
        """(n,) nu of combinations (n, S), 0 where the reference has none."""
        known, asked = self._code(self.combinations), self._code(shown)
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known[order], asked), len(known) - 1)
        return np.where(known[order][place] == asked, self.chance[order][place], 0.0)

    def _code(self, combinations: np.ndarray) -> np.ndarray:
        options = tuple(combinations.T.astype(np.int64))
        return np.asarray(np.ravel_multi_index(options, self.options))

    def shares(self, drawn: np.ndarray) -> np.ndarray:
        """(n, D) q_pi of n rows from draws (n, draws, S): how often each element was drawn."""
        rows, draws, _ = drawn.shape
        size = sum(self.options)
        place = drawn + self.start + size * np.arange(rows)[:, None, None]
        return np.bincount(place.ravel(), minlength=rows * size).reshape(rows, size) / draws


def pseudo_inverse_weights(
    reference: Reference, shown: np.ndarray, shares: np.ndarray, propensity: np.ndarray
) -> np.ndarray:
    """(n,) w of combinations shown (n, S) with propensity mu (n,) for q_pi `shares` (n, D).

    Mean 1 under mu where the log supports the reference, as the sum over one slot's options is
    always 1; may be negative.
    """
    toward = shares @ reference.inverse
    asked = np.take_along_axis(toward, shown + reference.start, axis=1).sum(1)
    return asked * reference.chance_of(shown) / propensity


def independent_weights(
    reference: Reference, shown: np.ndarray, shares: np.ndarray, propensity: np.ndarray
) -> np.ndarray:
    """(n,) nu/mu * [1 + sum_s (pi_s(a_s) / nu_s(a_s) - 1)]: what w is where nu's slots are
    independent (Swaminathan et al. 2017, section 3), wrong by what the rules tie together."""
    place = shown + reference.start
    alone = np.diag(reference.gram)[place]
    asked = np.take_along_axis(shares, place, axis=1)
    ratio = np.divide(asked, alone, out=np.zeros_like(asked), where=alone > 0)
    return (1 + (ratio - 1).sum(1)) * reference.chance_of(shown) / propensity


def uniform_reference(combinations: np.ndarray, options: tuple[int, ...]) -> Reference:
    """Every legal combination (L, S) alike."""
    return Reference(combinations, np.full(len(combinations), 1 / len(combinations)), options)


def leaning_reference(
    uniform: Reference, shown: np.ndarray, displays: np.ndarray, lean: float
) -> Reference:
    """Uniform, and by `lean` toward how often each element was shown (n, S) before the judged rows.

    The leaning part chooses slots independently by their elements' shares, among what is legal.
    """
    place = shown + uniform.start
    counts = [np.bincount(column, displays, sum(uniform.options)) for column in place.T]
    share = np.sum(counts, axis=0) / max(float(displays.sum()), 1e-300)
    product = share[uniform.combinations + uniform.start].prod(axis=1)
    if not lean or not product.sum() > 0:
        return uniform
    mixed = lean * product / product.sum() + (1 - lean) * uniform.chance
    return Reference(uniform.combinations, mixed / mixed.sum(), uniform.options)
