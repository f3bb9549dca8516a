"""The limits of every gate, in one strict tree with defaults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from validation.gate.trees import from_tree, to_tree

SHARED = ("effective_sample_min", "slots_known_min")


@dataclass(frozen=True)
class ProvenanceLimits:
    """allow_dirty: judge uncommitted code too (a laptop's experiment)."""

    allow_dirty: bool = False


@dataclass(frozen=True)
class DataLimits:
    """Shares of the day's rows that may be unfit, and of its labels that must be final."""

    quarantined_share_max: float = 0.05
    mature_share_min: float = 0.95


@dataclass(frozen=True)
class FeatureLimits:
    """null_rise_max: how much larger the share without history may be where it judges than where
    it was learned from. parity_min: share of sampled elements equal online and offline."""

    age_days_max: float = 1
    null_rise_max: float = 0.5
    parity_min: float = 1.0


@dataclass(frozen=True)
class RewardModelLimits:
    """Floors, and how much worse than the champion still counts as no worse.

    log_loss_margin: share of the champion's. An AUC wholly below auc_reject is refused, wholly
    below auc_min it is held: a log of chance teaches nothing. calibration errors: shares of all clicks; above
    `max` more evidence or a better fit is asked for, above `reject` the version is refused.
    """

    events_min: float = 20
    auc_min: float = 0.5
    auc_reject: float = 0.45
    calibration_error_max: float = 0.2
    calibration_error_reject: float = 0.5
    log_loss_margin: float = 0.01
    auc_margin: float = 0.01
    calibration_margin: float = 0.1


@dataclass(frozen=True)
class SliceLimits:
    """level: of harm over all slices together.

    A slice below a minimum is thin: not compared. Thin ones may hold `thin_share_max` of displays.
    """

    level: float = 0.01
    displays_min: float = 1000
    clusters_min: int = 20
    events_min: float = 20
    thin_share_max: float = 0.2
    effective_sample_min: float = 500


@dataclass(frozen=True)
class PolicyValueLimits:
    """gain_min: practical gain per display that lower bounds must exceed.

    level: of all looks together, two-sided, so that 0.95 is one-sidedly 97.5 %; a look spends
    its share of it (looks.py). estimators: all must agree. guardrails: outcome -> loss per
    display that is still no loss. slot_estimators: all must agree where whole combinations have
    fewer effective displays than asked for, and slots, known for `slots_known_min` of the
    displays, have enough (basis.py).
    """

    gain_min: float = 0.0
    level: float = 0.95
    estimators: tuple[str, ...] = ("snips", "dr")
    slot_estimators: tuple[str, ...] = ("pi", "pi_dr")
    slots_known_min: float = 0.99
    known_propensity_min: float = 0.999
    clusters_min: int = 20
    events_min: float = 20
    effective_sample_min: float = 500
    guardrails: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EstimateHealthLimits:
    """When an off-policy estimate is to be trusted; none of them rejects, they hold.

    stable_at: SNIPS with weights clipped here must stay within its own interval; slots_stable_at:
    pi_dr. effective_sample_min and slots_known_min are those of the policy value's gate.
    """

    effective_sample_min: float = 500
    effective_events_min: float = 10
    largest_share_max: float = 0.05
    support_min: float = 0.9
    mean_weight_tolerance: float = 0.1
    stable_at: float = 20
    slots_known_min: float = 0.99
    slots_stable_at: float = 20


@dataclass(frozen=True)
class PolicySafetyLimits:
    """Against the champion: entropy and coverage as shares of its own. None is not judged."""

    illegal_max: int = 0
    entropy_min: float = 0.01
    entropy_ratio_min: float | None = 0.25
    coverage_ratio_min: float | None = None
    kl_max: float | None = None
    other_fold_gain: bool = True


@dataclass(frozen=True)
class ServingLimits:
    """Of one process on one core; times vary, so slow or large holds and does not reject."""

    requests_min: float = 1
    difference_max: float = 1e-6
    p95_ms_max: float = 250
    peak_mib_max: float = 4096


@dataclass(frozen=True)
class IntegrityLimits:
    """What a bundle must carry. A signature that is there must be right whatever is asked for."""

    signature: bool = True
    sbom: bool = True


@dataclass(frozen=True)
class PersonLimits:
    """expires_hours: how long an approval holds."""

    expires_hours: float = 48


@dataclass(frozen=True)
class Limits:
    """Every gate's limits. Raises ValueError on a number that is not finite, and where two gates
    would not judge the same estimators."""

    provenance: ProvenanceLimits = ProvenanceLimits()
    data: DataLimits = DataLimits()
    features: FeatureLimits = FeatureLimits()
    reward_model: RewardModelLimits = RewardModelLimits()
    slices: SliceLimits = SliceLimits()
    policy_value: PolicyValueLimits = PolicyValueLimits()
    estimate_health: EstimateHealthLimits = EstimateHealthLimits()
    policy_safety: PolicySafetyLimits = PolicySafetyLimits()
    serving: ServingLimits = ServingLimits()
    integrity: IntegrityLimits = IntegrityLimits()
    person: PersonLimits = PersonLimits()

    def __post_init__(self) -> None:
        for gate in fields(self):
            _check_finite(getattr(self, gate.name), gate.name)
        for name in SHARED:
            value, health = getattr(self.policy_value, name), getattr(self.estimate_health, name)
            if value != health:
                raise ValueError(
                    f"limits: policy_value.{name} is {value} and estimate_health.{name} {health}, "
                    "expected the same, or the health of other estimators than those that decide "
                    "would be judged; give both the same number"
                )

    @staticmethod
    def from_dict(tree: Mapping[str, Any] | None) -> "Limits":
        """The limits in a config: gate -> limit -> value; what is left out takes its default.

        Raises ValueError where nothing is configured, and on an unknown gate or limit.
        """
        if not tree:
            raise ValueError(
                "found no limits, expected at least one gate's; without limits nothing can be "
                "judged: write gate.limits in the config, or take Limits() on purpose"
            )
        return from_tree(Limits, tree, "limits")

    def to_dict(self) -> dict[str, Any]:
        return to_tree(self)


def _check_finite(value: Any, where: str) -> None:
    if is_dataclass(value):
        for one in fields(value):
            _check_finite(getattr(value, one.name), f"{where}.{one.name}")
    elif isinstance(value, dict):
        for key, one in value.items():
            _check_finite(one, f"{where}.{key}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"limits.{where}: found {value}, expected a finite number; correct it")
