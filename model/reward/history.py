"""What is known of an element's past, where its id does not know it already.

Given an element's effect, its earlier clicks say nothing more of a later one, and the ids learn
that effect from every row of the window. Clicks of the window that come back as history are
counted twice: they cost ranks and likelihood (docs/adr/0030). So the history of an element that
was learned from is what was known when its first row was shown, of time before the window; the
newest history speaks for elements whose id was never learned from.

A lift is the log of a rate over its product's, smoothed by few displays. It is shrunk to what it
says of an effect: n displays at the usual rate r are worth n r / (n r + CLICKS) of it (the
normal-normal posterior mean). Its weight's prior lies at 1 for the longest window: the shrunk lift
is an effect in log-odds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from model.bags import Bags

CLICKS = 25.0  # expected ones that weigh as much as the prior: 1 / 0.2^2, effects vary by 0.2
LIFT, WEIGHT = "lift", "weight"  # as the features' names begin; a weight is log(1 + displays)


def first_history(train: Bags, own: np.ndarray, size: int) -> np.ndarray:
    """(size + 1, H) float32 history of each own code at its first row, nan where nothing was known.

    own (m,) codes of elements; rows in order of time. Without any history there are no rows.
    """
    width = train.history.shape[2]
    codes = np.where(train.element >= 0, own[np.maximum(train.element, 0)], 0)
    _, first = np.unique(codes.reshape(-1), return_index=True)
    found = np.full((size + 1, width), np.nan, np.float32)
    found[codes.reshape(-1)[first]] = train.history.reshape(-1, width)[first]
    found[0] = np.nan
    return found if np.isfinite(found).any() else found[:0]


def untold(history: np.ndarray, own: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(..., H) history without what the ids have learned; own (...) codes, 0 = never learned."""
    before = known[own] if len(known) else np.float32(np.nan)
    return np.where((own > 0)[..., None], before, history).astype(np.float32)


def lift_places(names: Sequence[str]) -> list[tuple[int, int]]:
    """(place of a lift, place of its weight), the longest window first."""
    windows = [n.removeprefix(LIFT) for n in names if n.startswith(LIFT)]
    windows = [w for w in windows if WEIGHT + w in names]
    windows.sort(key=lambda w: -int(w.strip("_")) if w.strip("_").isdigit() else 0)
    return [(names.index(LIFT + w), names.index(WEIGHT + w)) for w in windows]


def shrunk(history: np.ndarray, lifts: Sequence[tuple[int, int]], rate: float) -> np.ndarray:
    """(..., H) the history with each lift at what it says of the element's effect."""
    found = history.astype(np.float64)
    for lift, weight in lifts:
        expected = rate * np.expm1(np.clip(found[..., weight], 0, 30))
        found[..., lift] *= expected / (expected + CLICKS)
    return found


def scale_of(history: np.ndarray, lifts: Sequence[tuple[int, int]], rate: float) -> dict[str, Any]:
    """How (..., H) history is made even: JSON. Lifts keep their unit; of all else, what was never
    learned from says nothing."""
    width = history.shape[-1]
    flat = shrunk(history.reshape(-1, width), lifts, rate) if width else np.zeros((0, 0))
    rows = flat[np.isfinite(flat).all(axis=1)]
    mean, std = np.zeros(width), np.ones(width)
    low, high = np.zeros(width), np.zeros(width)
    if len(rows):
        mean, std = rows.mean(axis=0), rows.std(axis=0)
        std = np.where(std > 1e-8, std, 1.0)
        low, high = (rows.min(axis=0) - mean) / std, (rows.max(axis=0) - mean) / std
    for lift, _ in lifts:
        mean[lift], std[lift], low[lift], high[lift] = 0.0, 1.0, -5.0, 5.0
    parts = {"mean": mean, "std": std, "low": low, "high": high}
    told = {name: value.tolist() for name, value in parts.items()}
    varies = bool(len(rows)) and len(rows) < len(flat)
    return {**told, "lifts": [list(pair) for pair in lifts], "rate": rate, "flag": varies}


def even(history: np.ndarray, scale: Mapping[str, Any]) -> np.ndarray:
    """(..., H + 1) float32 history by its scale, and a flag where nothing is known; absent is 0."""
    known = np.isfinite(history)
    found = shrunk(history, scale.get("lifts", []), scale.get("rate", 0.0))
    filled = np.where(known, (found - np.array(scale["mean"])) / np.array(scale["std"]), 0.0)
    # Counts grow with time: beyond what was learned from, a linear term would drift with them.
    filled = np.clip(filled, scale.get("low", -5.0), scale.get("high", 5.0))
    unknown = ~known.any(axis=-1, keepdims=True) if history.shape[-1] else known[..., :0]
    unknown = unknown & scale.get("flag", True)
    return np.concatenate([np.clip(filled, -5, 5), unknown], axis=-1).astype(np.float32)
