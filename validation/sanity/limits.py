"""From where a day is unusual: the thresholds of the findings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Unusual:
    """From where a day is unusual. Shares and probabilities are in 0..1, bands in deviations.

    The config refuses a key that is not here (`__pydantic_config__`).
    """

    __pydantic_config__ = {"extra": "forbid"}

    weekdays: int = 3
    volume_band: float = 3.0
    last_hours: float = 6.0
    psi: float = 0.2
    mature_clicks: float = 0.9
    mean_weight: float = 0.2
    lowest_propensity: float = 0.0001
    sum_error: float = 0.01
    rate_level: float = 0.001
    draws: int = 200
