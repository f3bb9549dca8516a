"""Gate: does the version load and answer where it will serve, the same and fast enough?"""

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Evidence, Serving
from validation.gate.limits import ServingLimits
from validation.gate.rules import at_least, at_most, missing, note

NAME = "serving"
SOURCE = "evidence.serving"


def decide(evidence: Evidence, limits: ServingLimits) -> Decision:
    """Fails where the sealed bundle does not load or answers otherwise; slow or large holds."""
    serving = evidence.serving
    if serving is None:
        return unmeasured(NAME, NAME)
    if serving.fault is not None:
        sentence = f"the sealed bundle did not answer in a process of its own: {serving.fault}"
        finding = Finding("loads", serving.fault, "it answers", None, "fail", SOURCE, sentence)
        return decided(NAME, [finding])
    return decided(NAME, [*_answers(serving, limits), _alone(serving), *_cost(serving, limits)])


def _answers(serving: Serving, limits: ServingLimits) -> list[Finding]:
    asked = at_least(
        "golden requests answered", serving.answered, limits.requests_min, f"{SOURCE}.answered"
    )
    metric = "largest difference of a probability from this process"
    worst = serving.difference
    same = at_most(metric, worst, limits.difference_max, f"{SOURCE}.difference", otherwise="fail")
    return [asked, same]


def _alone(serving: Serving) -> Finding:
    """An ad server has torch, numpy and pyarrow; a bundle that needs more would not load there."""
    source = f"{SOURCE}.strangers"
    if serving.strangers is None:
        return missing("packages loaded", None, source)
    if serving.strangers:
        names = ", ".join(serving.strangers)
        sentence = f"answering loaded {names}, which an ad server need not have"
        return Finding("packages loaded", names, "none", None, "fail", source, sentence)
    return note("packages loaded", None, source, "torch, numpy and pyarrow were enough")


def _cost(serving: Serving, limits: ServingLimits) -> list[Finding]:
    return [
        at_most(
            "95th percentile of one choice in ms",
            serving.p95_ms,
            limits.p95_ms_max,
            f"{SOURCE}.p95_ms",
        ),
        at_most("peak memory in MiB", serving.peak_mib, limits.peak_mib_max, f"{SOURCE}.peak_mib"),
    ]
