"""95 % intervals from the spread of a few members."""

import numpy as np

# Student's t, 97.5 %, by degrees of freedom from 1: a spread of few members is itself uncertain.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_MANY = 1.96


def reach(members: int) -> float:
    """Spreads to either side of the mean; nan for a single member.

    All but the first are drawn independently around it (members.py).
    """
    drawn = members - 1
    if drawn < 1:
        return float("nan")
    return _T[drawn - 1] if drawn <= len(_T) else _MANY


def rate_bounds(
    click: np.ndarray, spread: np.ndarray, members: int
) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of rates (n,), symmetric in log-odds."""
    held = np.clip(click, 1e-9, 1 - 1e-9)
    wide = reach(members) * spread / (held * (1 - held))
    odds = np.log(held / (1 - held))
    return _rate(odds - wide), _rate(odds + wide)


def _rate(odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -odds))
