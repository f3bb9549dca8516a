"""Known-answer evidence that passes every gate, to be poisoned one number at a time."""

import copy
from typing import Any

from validation.gate.evidence import Evidence


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def _estimate(challenger: float, incumbent: float, half: float) -> dict[str, Any]:
    gap = challenger - incumbent
    return {
        "challenger": interval(challenger, half),
        "incumbent": interval(incumbent, half),
        "difference": interval(gap, half),
        "bernstein": interval(gap, 3 * half),
    }


HEALTH = {
    "displays": 200_000.0,
    "events": 5_400.0,
    "known_share": 1.0,
    "effective_sample": 42_000.0,
    "effective_events": 1_150.0,
    "largest_share": 0.0008,
    "largest_weight": 18.4,
    "support": 0.991,
}

GOOD: dict[str, Any] = {
    "ds": "2026-11-23",
    "challenger": "143",
    "incumbent": {"kind": "champion", "version": "141", "unreadable": None},
    "provenance": {
        "commit": "4f2a9c1d7e60b8a35512",
        "dirty": False,
        "image": "sha256:77aa",
        "inputs": "sha256:91bc",
        "features": "click_v1:5d2e",
        "seed": 0,
        "ds": ["2026-11-23"],
    },
    "data": {
        "verdict": "FIT",
        "blocking": [],
        "quarantined_share": 0.004,
        "volume": {"value": 101_200.0, "low": 88_000.0, "high": 119_000.0},
        "mature_share": 1.0,
    },
    "reward_model": {
        "challenger": {
            "log_loss": interval(0.1204, 0.002),
            "auc": interval(0.604, 0.012),
            "calibration_error": interval(0.06, 0.04),
            "calibration_ratio": interval(1.02, 0.03),
            "calibration_slope": interval(0.95, 0.08),
        },
        "champion": {"log_loss": interval(0.1208, 0.002), "auc": interval(0.6, 0.012)},
        "difference": {
            "log_loss": interval(-0.0004, 0.0003),
            "auc": interval(0.004, 0.006),
            "calibration_error": interval(0.01, 0.03),
        },
        "displays": 200_000.0,
        "events": 5_400.0,
        "pairs": 9.1e6,
        "clusters": 31_000,
    },
    "slices": [
        {
            "name": name,
            "value": value,
            "estimator": "dr",
            "displays": displays,
            "events": displays / 40,
            "clusters": int(displays / 6),
            "difference": interval(gap, half),
            "p_harm": p,
            "p_holm": min(1.0, 3 * p),
        }
        for name, value, displays, gap, half, p in (
            ("placement", "top", 120_000.0, 0.0031, 0.0019, 0.999),
            ("placement", "side", 80_000.0, 0.0008, 0.0022, 0.76),
            ("device", "phone", 140_000.0, 0.0024, 0.0018, 0.99),
        )
    ],
    "policy_value": {
        "target": "click",
        "level": 0.97,
        "looks": 1,
        "holdout": "the latest 2 days",
        "outcomes": {
            "click": {
                "unit": "clicks",
                "estimates": {
                    "ips": _estimate(0.0296, 0.0270, 0.0021),
                    "snips": _estimate(0.0294, 0.0270, 0.0016),
                    "direct": _estimate(0.0301, 0.0270, 0.0007),
                    "dr": _estimate(0.0293, 0.0270, 0.0015),
                    "switch_dr": _estimate(0.0294, 0.0270, 0.0014),
                    "snips_clip_5": _estimate(0.0290, 0.0270, 0.0014),
                    "snips_clip_20": _estimate(0.0294, 0.0270, 0.0016),
                    "mean_weight": _estimate(1.004, 1.0, 0.01),
                    "dr_os": _estimate(0.0294, 0.0270, 0.0014),
                    "pi": _estimate(0.0295, 0.0270, 0.0012),
                    "pi_dr": _estimate(0.0294, 0.0270, 0.0011),
                    "pi_dr_clip_20": _estimate(0.0294, 0.0270, 0.0011),
                    "pi_mean_weight": _estimate(1.001, 1.0, 0.008),
                },
                "agreement": interval(0.0001, 0.0006),
                "slot_agreement": interval(0.0, 0.0005),
                "clusters": 31_000,
                "health": HEALTH,
                "incumbent_health": HEALTH | {"effective_sample": 55_000.0},
            },
            "value": {
                "unit": "currency units",
                "estimates": {
                    "snips": _estimate(0.41, 0.40, 0.05),
                    "pi": _estimate(0.30, 0.40, 0.04),
                },
                "clusters": 31_000,
                "health": HEALTH | {"events": 610.0},
            },
        },
    },
    "safety": {
        "sampled": 20_000,
        "illegal": 0,
        "entropy": 1.9,
        "champion_entropy": 2.2,
        "coverage": 0.7,
        "champion_coverage": 0.75,
        "kl": 0.6,
        "other_fold_gain": interval(0.0019, 0.0008),
    },
    "integrity": {
        "unsafe_files": [],
        "digests_match": True,
        "signature": "verified",
        "sbom": True,
    },
    "features": {
        "age_days": 0.0,
        "judged_null_rate": 0.05,
        "learned_null_rate": 0.14,
        "checked": 4_000,
        "early": 0,
        "parity_sampled": 50,
        "parity_equal": 50,
    },
    "serving": {
        "answered": 32.0,
        "difference": 0.0,
        "strangers": [],
        "p95_ms": 9.5,
        "peak_mib": 420.0,
        "fault": None,
    },
}


_CLICK = "policy_value__outcomes__click"
# Hardly any whole combination overlaps, and the slots' weights are in good health.
BY_SLOTS: dict[str, Any] = {
    f"{_CLICK}__health__effective_sample": 20.0,
    f"{_CLICK}__health__largest_share": 0.15,
    f"{_CLICK}__slot_health": HEALTH | {"effective_sample": 6_100.0},
    f"{_CLICK}__slot_incumbent_health": HEALTH | {"effective_sample": 7_200.0},
}


def poisoned(**changes: Any) -> dict[str, Any]:
    """The good tree with values put elsewhere: path__to__value=1."""
    tree = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = tree
        for name in parents:
            place = place[name]
        place[last] = copy.deepcopy(value)
    return tree


def evidence(**changes: Any) -> Evidence:
    """The good evidence, poisoned."""
    return Evidence.from_dict(poisoned(**changes))
