"""Drift of each context field of a day against earlier days, with what chance alone would give."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validation.drift.effects import jensen_shannon, psi, wasserstein
from validation.drift.null_band import Flips, Sides, flips, null_effects

Floats = NDArray[np.float64]
BINS = 32


@dataclass(frozen=True)
class Shown:
    """Rows of today and of one earlier day of each user: codes (rows,) and fields by name.

    A field is text codes (categorical: numbers from 0, -1 missing) or numbers (nan: missing).
    """

    user: NDArray[np.int64]
    today: NDArray[np.bool_]
    categorical: Mapping[str, NDArray[np.int64]]
    numeric: Mapping[str, Floats]
    weight: Floats


@dataclass(frozen=True)
class Drift:
    """One field: its effect sizes and the 95th percentile of what chance gives; nan: no rows.

    distance is Wasserstein's in the field's units; nan for a categorical field.
    """

    field: str
    psi: float
    psi_null: float
    jensen_shannon: float
    jensen_shannon_null: float
    distance: float = np.nan
    distance_null: float = np.nan

    def beyond(self, limit: float) -> bool:
        """Whether the effect is both larger than the limit and than chance gives."""
        return bool(self.psi > limit and self.psi > self.psi_null)

    @property
    def by_chance(self) -> bool:
        """Whether no effect is larger than what chance gives one time in twenty."""
        pairs = ((self.psi, self.psi_null), (self.distance, self.distance_null))
        return not any(effect > null for effect, null in pairs)


def field_drifts(rows: Shown, draws: int, rng: np.random.Generator) -> list[Drift]:
    """The drift of every field, all judged on the same draws of whole users changing sides."""
    count = int(rows.user.max()) + 1 if len(rows.user) else 0
    seen = [np.bincount(rows.user[side], minlength=count) > 0 for side in _sides(rows)]
    chosen = flips(seen[0], seen[1], draws, rng)
    found = [
        _drift(name, rows, codes + 1, None, chosen) for name, codes in rows.categorical.items()
    ]
    for name, values in rows.numeric.items():
        codes, centres = binned(values)
        found.append(_drift(name, rows, codes, centres, chosen))
    return found


def _sides(rows: Shown) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return rows.today, ~rows.today


def binned(values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """(bin of each row, value of each bin): 0 is missing, whose value is the lowest bin's.

    Few distinct values are their own bins; many are cut at quantiles.
    """
    known = np.isfinite(values)
    distinct = np.unique(values[known])
    if not len(distinct):
        return np.zeros(len(values), dtype=np.int64), np.zeros(1)
    if len(distinct) > BINS:
        cuts = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        codes = np.searchsorted(cuts, values[known], side="right")
        size = np.bincount(codes, minlength=len(cuts) + 1)
        sums = np.bincount(codes, values[known], minlength=len(cuts) + 1)
        centres = np.maximum.accumulate(np.where(size > 0, sums / np.maximum(size, 1), -np.inf))
        centres = np.where(np.isfinite(centres), centres, cuts[0])
    else:
        codes, centres = np.searchsorted(distinct, values[known]), distinct
    every = np.zeros(len(values), dtype=np.int64)
    every[known] = codes + 1
    return every, np.concatenate([centres[:1], centres])


def _drift(
    name: str, rows: Shown, codes: NDArray[np.int64], centres: Floats | None, chosen: Flips
) -> Drift:
    bins = int(codes.max(initial=0)) + 1
    groups = len(chosen.exchanged)
    place = chosen.group[rows.user] * bins + codes
    today, earlier = (
        _counted(place[side], rows.weight[side], groups, bins) for side in _sides(rows)
    )
    sides = Sides(today, earlier)
    total = today.sum(axis=0), earlier.sum(axis=0)
    if not total[0].sum() or not total[1].sum():
        return Drift(name, np.nan, np.nan, np.nan, np.nan)
    effects = [psi, jensen_shannon]
    if centres is not None and bins > 1:
        effects.append(lambda one, other: wasserstein(one, other, centres))
    told: list[float] = []
    for effect in effects:
        null = null_effects(sides, chosen, effect)
        told += [float(effect(*total)), float(np.quantile(null, 0.95))]
    return Drift(name, *told)


def _counted(place: NDArray[np.int64], weight: Floats, groups: int, bins: int) -> Floats:
    counts = np.bincount(place, weight, minlength=groups * bins)
    return counts.astype(np.float64).reshape(groups, bins)
