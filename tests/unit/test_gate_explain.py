"""What would settle an open finding, on cases worked by hand."""

import json
import math

from good_evidence import evidence, interval

from validation.gate.decision import Decision, Finding
from validation.gate.explain import explain
from validation.gate.limits import Limits
from validation.gate.trees import from_tree
from validation.gate.verdict import judge

CLICK = "policy_value__outcomes__click"


def finding(**changes) -> Finding:
    plain = {
        "metric": "difference",
        "value": 0.002,
        "threshold": 0.0,
        "distance": -0.002,
        "status": "insufficient",
        "source": "evidence",
        "sentence": "said",
        "side": "above",
    }
    return Finding(**(plain | changes))


def advice(one: Finding, **changes):
    judged = evidence(policy_value__judged_days=["2026-11-22", "2026-11-23"], **changes)
    return explain([Decision("gate", "insufficient", (one,))], judged)[0]


def test_half_the_width_takes_four_times_the_displays() -> None:
    told = advice(finding())  # 0.002, low -0.002: half-width 0.004, twice the estimate
    assert math.isclose(told.displays_needed, 4 * 200_000)
    assert math.isclose(told.days_needed, 8)
    assert "800,000 judged displays" in told.sentence


def test_an_upper_bound_is_settled_alike() -> None:
    told = advice(finding(side="below", value=0.1, threshold=0.2, distance=-0.2))
    assert math.isclose(told.displays_needed, 9 * 200_000)


def test_an_estimate_on_the_wrong_side_is_not_promised_anything() -> None:
    told = advice(finding(value=-0.001, distance=-0.005))
    assert told.displays_needed == math.inf
    assert "only settle it if it moves" in told.sentence


def test_an_effective_sample_grows_with_the_displays() -> None:
    told = advice(
        finding(metric="effective sample", side=None, value=50.0, threshold=500.0, distance=-450.0)
    )
    assert math.isclose(told.displays_needed, 10 * 200_000)


def test_a_failure_and_an_unclean_commit_are_not_a_matter_of_displays() -> None:
    assert "do not change this" in advice(finding(status="fail")).sentence
    commit = finding(metric="commit", side=None, value="abc", threshold="clean", distance=None)
    assert "not a matter of displays" in advice(commit).sentence


def test_a_held_judgement_is_explained_after_a_trip_through_json() -> None:
    held = evidence(**{f"{CLICK}__estimates__snips__difference": interval(0.002, 0.004)})
    kept = json.loads(json.dumps(judge(held, Limits()).to_dict()))
    decisions = [from_tree(Decision, one, "decision") for one in kept["decisions"]]
    told = explain(decisions, held)
    assert [one.gate for one in told if one.metric.startswith("difference by SNIPS")]
    assert all(one.status != "pass" for one in told)


def test_nothing_is_open_where_every_gate_passed() -> None:
    assert explain(judge(evidence(), Limits()).decisions, evidence()) == ()
