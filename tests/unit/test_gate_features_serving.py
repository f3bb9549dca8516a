"""The features and serving gates on evidence whose answer is known, and on its poisoned twin."""

import math
from pathlib import Path

import pytest
from good_evidence import evidence

from components.errors import Failed
from components.gate_promotion import serving as asking
from validation.gate import features, serving
from validation.gate.limits import Limits

LIMITS = Limits()
GATES = {
    "features": (features.decide, LIMITS.features),
    "serving": (serving.decide, LIMITS.serving),
}


@pytest.mark.parametrize("gate", GATES)
def test_good_evidence_passes(gate: str) -> None:
    decide, limits = GATES[gate]
    assert decide(evidence(), limits).status == "pass"


POISON = [
    ("features", {"features": None}, "fail", "nothing was measured"),
    ("features", {"features__early": 1}, "fail", "not known before"),
    ("features", {"features__early": None}, "fail", "missing"),
    ("features", {"features__checked": 0}, "fail", "missing"),
    ("features", {"features__parity_equal": 49}, "fail", "equal online and offline"),
    ("features", {"features__parity_equal": None}, "fail", "missing"),
    ("features", {"features__age_days": 2.0}, "insufficient", "age of the newest"),
    ("features", {"features__age_days": math.nan}, "fail", "missing"),
    ("features", {"features__judged_null_rate": 0.9}, "insufficient", "without history"),
    ("features", {"features__learned_null_rate": math.nan}, "fail", "missing"),
    ("serving", {"serving": None}, "fail", "nothing was measured"),
    ("serving", {"serving__fault": "torch not found"}, "fail", "torch not found"),
    ("serving", {"serving__difference": 0.01}, "fail", "largest difference"),
    ("serving", {"serving__difference": math.nan}, "fail", "missing"),
    ("serving", {"serving__strangers": ["duckdb"]}, "fail", "duckdb"),
    ("serving", {"serving__strangers": None}, "fail", "missing"),
    ("serving", {"serving__answered": 0.0}, "insufficient", "golden requests"),
    ("serving", {"serving__p95_ms": 900.0}, "insufficient", "95th percentile"),
    ("serving", {"serving__peak_mib": 9000.0}, "insufficient", "peak memory"),
    ("serving", {"serving__peak_mib": math.nan}, "fail", "missing"),
]


@pytest.mark.parametrize(("gate", "poison", "status", "said"), POISON)
def test_a_poisoned_number_is_found(gate: str, poison: dict, status: str, said: str) -> None:
    decide, limits = GATES[gate]
    found = decide(evidence(**poison), limits)
    sentences = [one.sentence for one in found.findings if one.status == status]
    assert found.status == status
    assert any(said in sentence for sentence in sentences), sentences


def test_a_first_day_without_any_history_has_nothing_to_differ() -> None:
    found = features.decide(
        evidence(features__parity_sampled=0, features__parity_equal=0), LIMITS.features
    )
    assert found.status == "pass"


def test_a_process_that_is_too_slow_says_nothing_of_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.001)
    with pytest.raises(Failed, match="no answer within"):
        asking.compared([], tmp_path)
