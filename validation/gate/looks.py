"""Finding: were the intervals drawn at the level that this look is due?"""

import math

from validation.gate.decision import Finding
from validation.gate.evidence import Evidence, PolicyValue
from validation.gate.rules import missing

METRIC = "level of the intervals"
SOURCE = "evidence.policy_value.level"
ROUNDING = 1e-9


def due(look: int, level: float) -> float:
    """The least level of look k: all but 6 / (pi k)^2 of what `level` leaves, for all looks.

    The same shares as model/evaluation/spending.py, worked out apart from it: the gate does not
    take the evidence's word.
    """
    return 1 - (1 - level) * 6 / (math.pi * look) ** 2


def decide(evidence: Evidence, value: PolicyValue, level: float) -> Finding:
    """Passes where the level is the look's or stricter, fails where it is less or unknown."""
    if value.looks < 1 or math.isnan(value.level):
        return missing(METRIC, level, SOURCE)
    asked = due(value.looks, level)
    distance = value.level - asked
    spent = sum(1 - due(k, level) for k in range(1, value.looks + 1))
    sentence = (
        f"{METRIC}: {value.level:.6g}, look {value.looks} at {evidence.incumbent.name} asks for "
        f"at least {asked:.6g}; {spent:.4f} of {1 - level:.4g} is spent"
    )
    status = "pass" if distance >= -ROUNDING else "fail"
    return Finding(METRIC, value.level, asked, distance, status, SOURCE, sentence)
