"""What a version is judged on: one tree of plain values, written by the stage that measured them.

A number that was not measured is nan (null in JSON), a part that was not measured is None; the
gates fail either, unless the reason is one that only more data can cure. Values are in reward
per display, probabilities and shares in [0, 1]. `Evidence.from_dict` refuses what is not
declared here; `to_dict` gives canonical JSON values; `digest` names the evidence in an approval.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from validation.gate.trees import from_tree, to_tree

FEWEST_CLUSTERS = 2


@dataclass(frozen=True)
class Interval:
    """A value between its bounds; nan (null) bounds: the clusters were too few to give any."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Incumbent:
    """Whom the challenger is compared with: the champion, or the logging policy.

    `unreadable` says why a champion could not be scored on today's rows; `learned_judged` are the
    judged days that it learned from itself, which flatters it.
    """

    kind: str = "logging policy"
    version: str | None = None
    unreadable: str | None = None
    learned_judged: tuple[str, ...] = ()

    @property
    def is_champion(self) -> bool:
        return self.kind == "champion"

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"v{self.version}" if self.is_champion else "the logging policy"


@dataclass(frozen=True)
class Provenance:
    """From what the version was made; image is a digest or "local", ds every input's day."""

    commit: str | None = None
    dirty: bool | None = None
    image: str | None = None
    inputs: str | None = None
    features: str | None = None
    seed: int | None = None
    ds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Data:
    """The day's data: validation's verdict (FIT or BLOCKED) with the rules that blocked it.

    volume: the day's displays within the band of earlier same weekdays, None without history.
    mature_share: share of the judging displays whose label's attribution window has closed.
    """

    verdict: str | None = None
    blocking: tuple[str, ...] = ()
    quarantined_share: float = math.nan
    volume: Interval | None = None
    mature_share: float = math.nan


@dataclass(frozen=True)
class RewardModel:
    """Metrics by name on identical rows: log_loss (per display), auc (within product),
    calibration_error (share of clicks), calibration_ratio, calibration_slope.

    champion and difference (challenger less champion) are None without a champion.
    """

    challenger: dict[str, Interval] = field(default_factory=dict)
    champion: dict[str, Interval] | None = None
    difference: dict[str, Interval] | None = None
    displays: float = math.nan
    events: float = math.nan
    pairs: float = math.nan
    clusters: int = 0


@dataclass(frozen=True)
class Estimate:
    """One estimator's word, in reward per display; bernstein is of the difference."""

    challenger: Interval = Interval()
    incumbent: Interval = Interval()
    difference: Interval = Interval()
    bernstein: Interval = Interval()


@dataclass(frozen=True)
class Health:
    """How far the log can speak for one policy (model/evaluation/overlap.py)."""

    displays: float = math.nan
    events: float = math.nan
    known_share: float = math.nan
    effective_sample: float = math.nan
    effective_events: float = math.nan
    largest_share: float = math.nan
    largest_weight: float = math.nan
    support: float = math.nan


@dataclass(frozen=True)
class Outcome:
    """One reward (clicks, conversions, value) by every estimator.

    estimates by name: ips, snips, direct, dr, switch_dr, dr_os, snips_clip_<level>, mean_weight;
    by slots pi, pi_dr, independent, pi_clip_<level>, pi_dr_clip_<level>, pi_mean_weight.
    agreement: difference by SNIPS less difference by DR. incumbent_health: of a champion only.
    slot_health, slot_incumbent_health, slot_agreement (pi_dr less switch-DR): the same of the
    slots' weights; None where there are none, slots_wanting saying why.
    """

    unit: str = "rewards"
    estimates: dict[str, Estimate] = field(default_factory=dict)
    agreement: Interval = Interval()
    clusters: int = 0
    health: Health = Health()
    incumbent_health: Health | None = None
    slot_health: Health | None = None
    slot_incumbent_health: Health | None = None
    slot_agreement: Interval = Interval()
    slots_wanting: str | None = None

    @property
    def wanting(self) -> str | None:
        """Why no estimate can be defined, for want of data: that holds, it does not fail."""
        if self.health.displays == 0:
            return "no display was held out to judge on"
        if self.health.known_share == 0:
            return "no propensity was logged"
        if self.health.effective_sample == 0:
            return "the log never shows what the challenger would show"
        if self.clusters < FEWEST_CLUSTERS:
            return f"the displays form {self.clusters} cluster, too few for an interval"
        return None


@dataclass(frozen=True)
class PolicyValue:
    """Challenger less incumbent; `target` names the outcome that decides.

    level: of the two-sided intervals, what this look may spend of the level of all looks. looks:
    which look at this incumbent it is, from 1.
    holdout: in words, which rows judged. judged_days, learned_days: of the rows that judged, and
    of those that the challenger learned from.
    """

    target: str = "click"
    level: float = math.nan
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    looks: int = 1
    holdout: str | None = None
    judged_days: tuple[str, ...] = ()
    learned_days: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slice:
    """The difference in one slice; p_holm is the p-value of harm corrected over all slices."""

    name: str
    value: str
    estimator: str = ""
    displays: float = math.nan
    events: float = math.nan
    clusters: int = 0
    difference: Interval = Interval()
    p_harm: float = math.nan
    p_holm: float = math.nan


@dataclass(frozen=True)
class Safety:
    """What the challenger would show: illegal of so many sampled; entropies in nats a display.

    coverage: share of candidate elements shown at least as often as chance would in a tenth.
    kl: from the champion. other_fold_gain: predicted difference by a reward model that the
    generator never saw.
    """

    sampled: int | None = None
    illegal: int | None = None
    entropy: float = math.nan
    champion_entropy: float = math.nan
    coverage: float = math.nan
    champion_coverage: float = math.nan
    kl: float = math.nan
    other_fold_gain: Interval = Interval()


@dataclass(frozen=True)
class Integrity:
    """The bundle: files that could carry code, digests, signature.

    signature: verified, signed by a local key, by an unknown key, wrong or absent.
    """

    unsafe_files: tuple[str, ...] | None = None
    digests_match: bool | None = None
    signature: str | None = None
    sbom: bool | None = None


@dataclass(frozen=True)
class Features:
    """What was learned from: age_days of the newest history at the end of ds; shares of judged
    and of learned elements without any; values checked against what was known before their row,
    and how many were not (early); elements sampled online, and how many were equal."""

    age_days: float = math.nan
    judged_null_rate: float = math.nan
    learned_null_rate: float = math.nan
    checked: int | None = None
    early: int | None = None
    parity_sampled: int | None = None
    parity_equal: int | None = None


@dataclass(frozen=True)
class Serving:
    """The sealed bundle in a process of its own: golden requests answered, the largest difference
    of a probability from the judging process, packages that an ad server need not have, the 95th
    percentile of one choice in milliseconds, peak memory; or the fault that stopped it."""

    answered: float = math.nan
    difference: float = math.nan
    strangers: tuple[str, ...] | None = None
    p95_ms: float = math.nan
    peak_mib: float = math.nan
    fault: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything measured on one challenger for one day."""

    ds: str
    challenger: str | None = None
    incumbent: Incumbent = Incumbent()
    provenance: Provenance | None = None
    data: Data | None = None
    reward_model: RewardModel | None = None
    slices: tuple[Slice, ...] | None = None
    policy_value: PolicyValue | None = None
    safety: Safety | None = None
    integrity: Integrity | None = None
    features: Features | None = None
    serving: Serving | None = None

    @staticmethod
    def from_dict(tree: Mapping[str, Any]) -> "Evidence":
        """The evidence in a JSON object; ValueError names what is unknown or mistyped."""
        return from_tree(Evidence, tree, "evidence")

    def to_dict(self) -> dict[str, Any]:
        return to_tree(self)

    def digest(self) -> str:
        """sha256 of the canonical JSON: what an approval is bound to."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def target(self) -> Outcome | None:
        """The outcome that decides, or None where it was not measured."""
        value = self.policy_value
        return value.outcomes.get(value.target) if value else None
