"""A reward model of the small shop: clicks as a Poisson count of product, context and elements."""

import numpy as np

from benchmarks.gate_worlds.world import (
    CHOICE,
    CONTEXTS,
    ELEMENTS,
    PRODUCTS,
    SLOTS,
    SPREAD,
    Counts,
)

STEPS = 8
ROUNDS = 2
DESIGN = np.concatenate(
    [np.ones((len(CHOICE), 1))]
    + [(CHOICE[:, s : s + 1] == np.arange(ELEMENTS)).astype(float) for s in range(SLOTS)],
    axis=1,
)
PRIOR = np.array([1 / SPREAD["product"] ** 2] + [1 / SPREAD["element"] ** 2] * SLOTS * ELEMENTS)


def fit(counts: Counts) -> np.ndarray:
    """(G, A) predicted click rates: product and elements by penalised likelihood, contexts by
    their share; product effects are shrunk to the whole log's rate."""
    shape = (PRODUCTS, CONTEXTS, len(CHOICE))
    shown, clicks = counts.displays.reshape(shape), counts.clicks.reshape(shape)
    base = (clicks.sum() + 1) / (shown.sum() + 50)
    context = np.ones(CONTEXTS)
    effect = np.zeros((PRODUCTS, len(CHOICE)))
    for _ in range(ROUNDS):
        exposed = base * np.einsum("pxa,x->pa", shown, context)
        effect = _effects(exposed, clicks.sum(1))
        expected = base * np.einsum("pxa,pa->x", shown, np.exp(effect))
        context = (clicks.sum((0, 2)) + 20) / (expected + 20)
    rate = base * context[None, :, None] * np.exp(effect)[:, None, :]
    return np.clip(rate, 1e-5, 0.9).reshape(-1, len(CHOICE))


def _effects(exposed: np.ndarray, clicks: np.ndarray) -> np.ndarray:
    """(P, A) log-rates over the base by Newton's method, every product at once."""
    beta = np.zeros((len(exposed), DESIGN.shape[1]))
    for _ in range(STEPS):
        mean = exposed * np.exp(np.clip(beta @ DESIGN.T, -4, 4))
        slope = (clicks - mean) @ DESIGN - PRIOR * beta
        curve = np.einsum("pa,ai,aj->pij", mean, DESIGN, DESIGN, optimize=True) + np.diag(PRIOR)
        beta = beta + np.clip(np.linalg.solve(curve, slope[..., None])[..., 0], -1, 1)
    return np.clip(beta @ DESIGN.T, -4, 4)
