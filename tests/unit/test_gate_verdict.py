"""The verdict over all gates, the limits it needs, and the evidence it reads."""

import json
import math

import pytest
from good_evidence import GOOD, evidence, interval, poisoned

from model.evaluation.outcome import Outcome as Measured
from validation.gate.evidence import Evidence, Outcome
from validation.gate.limits import Limits
from validation.gate.verdict import JUDGES, judge

SNIPS = "policy_value__outcomes__click__estimates__snips__difference"
DR = "policy_value__outcomes__click__estimates__dr__difference"


def test_evidence_without_a_flaw_promotes_and_says_by_how_much():
    found = judge(evidence(), Limits())
    assert found.verdict == "PROMOTE"
    assert len(found.decisions) == len(JUDGES)
    assert any("by DR in clicks is 2.3 (0.8 to 3.8) per 1,000" in one for one in found.reasons)


def test_any_failure_rejects_any_insufficiency_holds_and_every_reason_is_listed():
    held = judge(evidence(provenance__dirty=True, data__mature_share=0.1), Limits())
    assert held.verdict == "HOLD"
    assert [one.split(":")[0] for one in held.reasons] == ["provenance", "data"]
    both = judge(evidence(provenance__dirty=True, safety__illegal=3), Limits())
    assert both.verdict == "REJECT"
    assert [one.split(":")[0] for one in both.reasons] == ["policy safety", "provenance"]


def test_a_known_worse_candidate_is_rejected():
    worse = {SNIPS: interval(-0.003, 0.001), DR: interval(-0.003, 0.001)}
    assert judge(evidence(**worse), Limits()).verdict == "REJECT"


def test_no_propensities_hold_with_the_word_insufficient():
    blind = evidence(
        policy_value__outcomes__click__health__known_share=0.0,
        policy_value__outcomes__click__health__effective_sample=math.nan,
        policy_value__outcomes__click__estimates={},
        policy_value__outcomes__click__agreement={},
        policy_value__outcomes__click__clusters=0,
        slices=[],
    )
    found = judge(blind, Limits())
    assert found.verdict == "HOLD"
    assert any("insufficient" in reason for reason in found.reasons)


def test_an_awaited_person_does_not_change_the_verdict():
    found = judge(evidence(), Limits())
    assert found.decisions[-1].name == "person"
    assert found.decisions[-1].status == "insufficient"


def test_no_limits_are_an_error():
    with pytest.raises(ValueError, match="found no limits"):
        judge(evidence(), None)
    for nothing in (None, {}):
        with pytest.raises(ValueError, match="found no limits"):
            Limits.from_dict(nothing)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"policy_valeu": {}}, "unknown key policy_valeu"),
        ({"data": {"quarantined_max": 0.1}}, "limits.data: unknown key quarantined_max"),
        ({"data": {"quarantined_share_max": "0.1"}}, "found '0.1', expected float"),
        ({"data": {"quarantined_share_max": None}}, "expected a finite number"),
        ({"data": 3}, "expected an object"),
        ({"policy_value": {"guardrails": {"value": math.inf}}}, "expected a finite number"),
        ({"provenance": {"allow_dirty": 1}}, "expected bool"),
        ({"policy_value": {"estimators": "dr"}}, "expected a list"),
    ],
)
def test_a_limit_that_is_mistyped_is_refused_by_name(tree, said):
    with pytest.raises(ValueError, match=said):
        Limits.from_dict(tree)


def test_what_limits_leave_out_takes_its_default_and_they_survive_json():
    limits = Limits.from_dict({"policy_value": {"gain_min": 1, "guardrails": {"value": 0.1}}})
    assert limits.policy_value.gain_min == 1.0
    assert limits.data == Limits().data
    assert Limits.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits


def test_evidence_survives_json_and_nan_is_null():
    whole = evidence(data__quarantined_share=math.nan)
    text = json.dumps(whole.to_dict(), allow_nan=False)
    again = Evidence.from_dict(json.loads(text))
    assert again.digest() == whole.digest()
    assert math.isnan(again.data.quarantined_share)


@pytest.mark.parametrize(
    ("poison", "said"),
    [
        ({"safety__ilegal": 0}, "evidence.safety: unknown key ilegal"),
        ({"data__mature_share": "all"}, "evidence.data.mature_share: found 'all'"),
        ({"slices": [{"name": "a"}]}, "value is missing"),
        ({"ds": 20261123}, "evidence.ds: found 20261123, expected str"),
    ],
)
def test_evidence_that_is_not_as_declared_is_refused_by_place(poison, said):
    with pytest.raises(ValueError, match=said):
        Evidence.from_dict(poisoned(**poison))


def test_any_change_of_the_evidence_changes_its_digest():
    assert evidence().digest() == Evidence.from_dict(GOOD).digest()
    assert evidence(safety__kl=0.61).digest() != evidence().digest()


def test_a_judgement_is_plain_json():
    found = judge(evidence(data__quarantined_share=math.nan), Limits())
    tree = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert tree["verdict"] == "REJECT"
    assert tree["evidence_digest"] == found.evidence_digest


def test_what_is_measured_and_what_is_judged_have_the_same_fields():
    assert set(Measured.__dataclass_fields__) == set(Outcome.__dataclass_fields__)
