"""Gate: were the features that were learned from fresh, present, the same online, and never early?"""

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Evidence, Features
from validation.gate.limits import FeatureLimits
from validation.gate.rules import at_least, at_most, missing, note

NAME = "features"
SOURCE = "evidence.features"


def decide(evidence: Evidence, limits: FeatureLimits) -> Decision:
    """Fails on a value that its row could not know or that is another online; holds on stale ones."""
    features = evidence.features
    if features is None:
        return unmeasured(NAME, NAME)
    rise = features.judged_null_rate - features.learned_null_rate
    findings = [
        at_most(
            "age of the newest features in days",
            features.age_days,
            limits.age_days_max,
            f"{SOURCE}.age_days",
        ),
        at_most(
            "rise of the share of rows without history, judged over learned",
            rise,
            limits.null_rise_max,
            f"{SOURCE}.judged_null_rate",
        ),
        _early(features),
        _parity(features, limits),
    ]
    return decided(NAME, findings)


def _early(features: Features) -> Finding:
    """Values that differ from what was known when their row's day began."""
    source = f"{SOURCE}.early"
    if features.early is None or not features.checked:
        return missing("values checked against what was known before their row", 0, source)
    metric = f"values not known before their row, of {features.checked:,} checked"
    return at_most(metric, features.early, 0, source, otherwise="fail")


def _parity(features: Features, limits: FeatureLimits) -> Finding:
    source = f"{SOURCE}.parity_equal"
    if features.parity_sampled is None or features.parity_equal is None:
        return missing("elements sampled online and offline", None, source)
    if not features.parity_sampled:
        sentence = "no element had a history yet, so online and offline have nothing to differ in"
        return note("online equals offline", None, source, sentence)
    share = features.parity_equal / features.parity_sampled
    metric = f"share equal online and offline of {features.parity_sampled} sampled elements"
    return at_least(metric, share, limits.parity_min, source, otherwise="fail")
