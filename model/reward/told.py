"""What a reward model tells of bags: what they earn, and what of it each element contributes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """What n bags earn a display, calibrated: click and its spread over members (n,); conversion
    (n,) or None where the log had none; value (n,) or None; reward (n,) in the target's unit.

    Where the log had no clicks (`Reward.event` is conversion), `click` is a display's conversion.
    """

    click: np.ndarray
    click_spread: np.ndarray
    conversion: np.ndarray | None
    value: np.ndarray | None
    reward: np.ndarray


@dataclass(frozen=True, eq=False)
class Attribution:
    """The click's log-odds taken apart: base + product + context + element.sum(1) + interaction.

    element (n, S) includes half of each interaction; spread (n, S) is its deviation over members;
    interaction (n,) is what is not shared out, which is nothing here.
    """

    element: np.ndarray
    spread: np.ndarray
    base: np.ndarray
    product: np.ndarray
    context: np.ndarray
    interaction: np.ndarray
