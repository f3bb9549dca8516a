"""Each gate on evidence whose answer is known, and on its poisoned twin."""

import math

import pytest
from good_evidence import evidence, interval

from validation.gate import (
    data,
    estimate_health,
    integrity,
    person,
    policy_safety,
    policy_value,
    provenance,
    reward_model,
    slices,
)
from validation.gate.decision import Decision
from validation.gate.limits import Limits

LIMITS = Limits()
GATES = {
    "provenance": (provenance.decide, LIMITS.provenance),
    "data": (data.decide, LIMITS.data),
    "reward model": (reward_model.decide, LIMITS.reward_model),
    "slices": (slices.decide, LIMITS.slices),
    "policy value": (policy_value.decide, LIMITS.policy_value),
    "estimate health": (estimate_health.decide, LIMITS.estimate_health),
    "policy safety": (policy_safety.decide, LIMITS.policy_safety),
    "integrity": (integrity.decide, LIMITS.integrity),
}
CLICK = "policy_value__outcomes__click"
HEALTH = f"{CLICK}__health"
NAN = math.nan


def decision(gate: str, **poison) -> Decision:
    decide, limits = GATES[gate]
    return decide(evidence(**poison), limits)


def worst(found: Decision) -> list[str]:
    return [one.sentence for one in found.findings if one.status == found.status != "pass"]


@pytest.mark.parametrize("gate", GATES)
def test_good_evidence_passes_every_gate(gate):
    found = decision(gate)
    assert found.status == "pass", worst(found)
    assert found.name == gate


POISON = [
    # gate, poison, status, what the sentence says
    ("provenance", {"provenance__dirty": True}, "insufficient", "uncommitted"),
    ("provenance", {"provenance__commit": None}, "insufficient", "unknown"),
    ("provenance", {"provenance__commit": "", "provenance__dirty": None}, "insufficient", "unknown"),
    ("provenance", {"provenance__image": None}, "fail", "image is missing"),
    ("provenance", {"provenance__inputs": ""}, "fail", "inputs is missing"),
    ("provenance", {"provenance__features": None}, "fail", "features is missing"),
    ("provenance", {"provenance__seed": None}, "fail", "seed is missing"),
    ("provenance", {"provenance__ds": []}, "fail", "ds is missing"),
    ("provenance", {"provenance__ds": ["2026-11-22", "2026-11-23"]}, "fail", "expected 2026-11-23"),
    ("provenance", {"provenance": None}, "fail", "nothing was measured"),
    ("data", {"data__verdict": "BLOCKED", "data__blocking": ["clicks<=impressions"]}, "fail",
     "clicks<=impressions"),
    ("data", {"data__verdict": None}, "fail", "missing"),
    ("data", {"data__quarantined_share": 0.2}, "fail", "quarantined share: 0.2"),
    ("data", {"data__quarantined_share": NAN}, "fail", "not a number"),
    ("data", {"data__volume": {"value": 10.0, "low": 100.0, "high": 200.0}}, "fail", "outside"),
    ("data", {"data__volume": {"value": NAN, "low": 1.0, "high": 2.0}}, "fail", "not a number"),
    ("data", {"data__mature_share": 0.4}, "insufficient", "final labels: 0.4"),
    ("data", {"data__mature_share": NAN}, "fail", "not a number"),
    ("data", {"data": None}, "fail", "nothing was measured"),
    ("reward model", {"reward_model__challenger__auc": interval(0.49, 0.03)}, "insufficient",
     "does not settle"),
    ("reward model", {"reward_model__challenger__auc": interval(0.46, 0.03)}, "insufficient",
     "learned nothing"),
    ("reward model", {"reward_model__challenger__auc": interval(0.40, 0.03)}, "fail", "wrong side"),
    ("reward model", {"reward_model__challenger__auc": interval(NAN, NAN)}, "fail", "not a number"),
    ("reward model", {"reward_model__challenger": {}}, "fail", "missing"),
    ("reward model", {"reward_model__pairs": 0.0}, "insufficient", "AUC says nothing yet"),
    ("reward model", {"reward_model__events": 3.0}, "insufficient", "rewarded displays: 3"),
    ("reward model", {"reward_model__events": 0.0}, "insufficient", "rewarded displays: 0"),
    ("reward model", {"reward_model__challenger__calibration_error": interval(0.3, 0.05)},
     "insufficient", "calibrate again"),
    ("reward model", {"reward_model__challenger__calibration_error": interval(0.8, 0.1)}, "fail",
     "calibration error"),
    ("reward model", {"reward_model__difference__log_loss": interval(0.01, 0.001)}, "fail",
     "log loss less v141's"),
    ("reward model", {"reward_model__difference__log_loss": interval(0.001, 0.01)}, "insufficient",
     "log loss less v141's"),
    ("reward model", {"reward_model__difference__auc": interval(-0.05, 0.01)}, "fail", "AUC less"),
    ("reward model", {"reward_model__difference__calibration_error": interval(0.3, 0.05)}, "fail",
     "calibration error less"),
    ("reward model", {"reward_model__difference": None}, "fail", "missing"),
    ("reward model", {"incumbent__unreadable": "slots differ"}, "insufficient", "slots differ"),
    ("reward model", {"reward_model": None}, "fail", "nothing was measured"),
    ("slices", {"slices": None}, "fail", "nothing was measured"),
    ("policy value", {f"{HEALTH}__known_share": 0.0}, "insufficient", "insufficient for any"),
    ("policy value", {f"{HEALTH}__known_share": 0.9}, "insufficient", "insufficient for any"),
    ("policy value", {f"{HEALTH}__known_share": NAN}, "fail", "not a number"),
    ("policy value", {f"{HEALTH}__displays": 0.0}, "insufficient", "no display was held out"),
    ("policy value", {f"{HEALTH}__effective_sample": 0.0}, "insufficient", "never shows"),
    ("policy value", {f"{HEALTH}__events": 5.0}, "insufficient", "rewarded displays: 5"),
    ("policy value", {f"{CLICK}__clusters": 1}, "insufficient", "1 cluster"),
    ("policy value", {f"{CLICK}__clusters": 12}, "insufficient", "clusters: 12"),
    ("policy value", {"policy_value__level": 0.8}, "fail", "level of the intervals: 0.8"),
    ("policy value", {f"{CLICK}__estimates__dr__difference": interval(NAN, NAN)}, "fail", "DR"),
    ("policy value", {f"{CLICK}__estimates__dr__difference": {"value": 0.01}}, "insufficient",
     "too few clusters"),
    ("policy value", {f"{CLICK}__estimates": {}}, "fail", "missing"),
    ("policy value", {f"{CLICK}__estimates__dr__difference": interval(0.001, 0.002)},
     "insufficient", "does not settle whether it is above 0"),
    ("policy value", {"policy_value__outcomes": {}}, "fail", "nothing was measured"),
    ("policy value", {"policy_value": None}, "fail", "nothing was measured"),
    ("policy value", {"incumbent__unreadable": "slots differ"}, "insufficient", "slots differ"),
    ("estimate health", {f"{HEALTH}__effective_sample": 80.0}, "insufficient", "sample: 80"),
    ("estimate health", {f"{HEALTH}__effective_events": 2.0}, "insufficient", "displays: 2"),
    ("estimate health", {f"{HEALTH}__largest_share": 0.4}, "insufficient", "one display: 0.4"),
    ("estimate health", {f"{HEALTH}__support": 0.5}, "insufficient", "support: 0.5"),
    ("estimate health", {f"{HEALTH}__support": NAN}, "fail", "not a number"),
    ("estimate health", {f"{HEALTH}__known_share": 0.0}, "insufficient", "no propensity"),
    ("estimate health", {f"{HEALTH}__effective_sample": 0.0}, "insufficient", "never shows"),
    ("estimate health", {f"{CLICK}__clusters": 1}, "insufficient", "1 cluster"),
    ("estimate health", {f"{CLICK}__incumbent_health__effective_sample": 9.0}, "insufficient",
     "effective sample of v141"),
    ("estimate health", {f"{CLICK}__estimates__mean_weight__challenger": interval(0.6, 0.05)},
     "insufficient", "mean weight is 0.6"),
    ("estimate health", {f"{CLICK}__agreement": interval(0.004, 0.001)}, "insufficient", "SNIPS less"),
    ("estimate health", {f"{CLICK}__agreement": {}}, "fail", "not a number"),
    ("estimate health", {f"{CLICK}__estimates__snips_clip_20__difference": interval(-0.01, 0.001)},
     "insufficient", "clipped at 20"),
    ("estimate health", {"policy_value": None}, "fail", "nothing was measured"),
    ("policy safety", {"safety__illegal": 1}, "fail", "illegal"),
    ("policy safety", {"safety__illegal": None}, "fail", "missing"),
    ("policy safety", {"safety__sampled": 0}, "fail", "missing"),
    ("policy safety", {"safety__entropy": 0.0}, "fail", "entropy: 0"),
    ("policy safety", {"safety__entropy": 0.2}, "fail", "share of v141's"),
    ("policy safety", {"safety__champion_entropy": NAN}, "fail", "not a number"),
    ("policy safety", {"safety__other_fold_gain": interval(-0.01, 0.001)}, "insufficient", "exploit"),
    ("policy safety", {"safety__other_fold_gain": {}}, "fail", "not a number"),
    ("policy safety", {"safety": None}, "fail", "nothing was measured"),
    ("integrity", {"integrity__unsafe_files": ["weights.pkl"]}, "fail", "weights.pkl"),
    ("integrity", {"integrity__unsafe_files": None}, "fail", "missing"),
    ("integrity", {"integrity__digests_match": False}, "fail", "not as recorded"),
    ("integrity", {"integrity__digests_match": None}, "fail", "missing"),
    ("integrity", {"integrity__signature": "wrong"}, "fail", "signature is wrong"),
    ("integrity", {"integrity__signature": "absent"}, "fail", "sign the bundle"),
    ("integrity", {"integrity__signature": "by an unknown key"}, "fail", "trusted_keys"),
    ("integrity", {"integrity": None}, "fail", "nothing was measured"),
]  # fmt: skip


@pytest.mark.parametrize(("gate", "poison", "status", "said"), POISON)
def test_the_poisoned_twin_is_refused_with_a_sentence(gate, poison, status, said):
    found = decision(gate, **poison)
    assert found.status == status, [one.sentence for one in found.findings]
    assert any(said in sentence for sentence in worst(found)), worst(found)


def test_no_history_of_volume_passes_with_a_note():
    found = decision("data", data__volume=None)
    assert found.status == "pass"
    assert any("no earlier same weekday" in one.sentence for one in found.findings)


def test_without_a_champion_the_incumbent_is_the_logging_policy_and_nothing_is_compared_with():
    alone = {"incumbent": {"kind": "logging policy"}, "reward_model__difference": None,
             "reward_model__champion": None, f"{CLICK}__incumbent_health": None}  # fmt: skip
    for gate in GATES:
        assert decision(gate, **alone).status == "pass", gate
    assert evidence(**alone).incumbent.name == "the logging policy"


def _differences(snips: float, dr: float, half: float) -> dict:
    path = f"{CLICK}__estimates"
    return {
        f"{path}__snips__difference": interval(snips, half),
        f"{path}__dr__difference": interval(dr, half),
    }


@pytest.mark.parametrize(
    ("snips", "dr", "half", "status"),
    [
        (0.004, 0.004, 0.001, "pass"),
        (-0.004, -0.004, 0.001, "fail"),
        (0.0, 0.0, 0.001, "insufficient"),
        (-0.004, 0.0, 0.001, "insufficient"),
        (0.004, -0.004, 0.001, "insufficient"),
        (0.001, 0.001, 0.001, "insufficient"),
        (0.0, 0.0, 0.0, "insufficient"),
    ],
)
def test_policy_value_passes_above_zero_fails_below_and_holds_between(snips, dr, half, status):
    assert decision("policy value", **_differences(snips, dr, half)).status == status


def test_a_gain_below_the_practical_gain_holds_but_is_no_loss():
    limits = Limits.from_dict({"policy_value": {"gain_min": 0.005}}).policy_value
    found = policy_value.decide(evidence(**_differences(0.002, 0.002, 0.001)), limits)
    assert found.status == "insufficient"
    assert any("not shown to be a loss" in one for one in worst(found))
    lost = policy_value.decide(evidence(**_differences(-0.002, -0.002, 0.001)), limits)
    assert lost.status == "fail"


def test_without_propensities_no_estimate_is_judged_not_even_the_direct_method():
    found = decision("policy value", **{f"{HEALTH}__known_share": 0.0})
    assert [one.metric for one in found.findings] == ["share of displays with a logged propensity"]


@pytest.mark.parametrize(
    ("margin", "status"), [(0.05, "pass"), (0.02, "insufficient"), (-0.2, "fail")]
)
def test_a_guardrail_may_lose_no_more_than_its_margin(margin, status):
    limits = Limits.from_dict({"policy_value": {"guardrails": {"value": margin}}}).policy_value
    assert policy_value.decide(evidence(), limits).status == status


def test_a_guardrail_that_was_not_measured_fails():
    limits = Limits.from_dict({"policy_value": {"guardrails": {"returns": 0.1}}}).policy_value
    assert policy_value.decide(evidence(), limits).status == "fail"


def one_slice(**changes) -> dict:
    good = {
        "name": "segment",
        "value": "new",
        "estimator": "dr",
        "displays": 50_000.0,
        "events": 900.0,
        "clusters": 800,
        "difference": interval(0.001, 0.002),
        "p_harm": 0.8,
        "p_holm": 1.0,
    }
    return good | changes


def test_a_slice_that_is_hurt_beyond_doubt_fails_and_is_named():
    hurt = one_slice(difference=interval(-0.01, 0.002), p_harm=1e-9, p_holm=3e-9)
    found = decision("slices", slices=[one_slice(value="old"), hurt])
    assert found.status == "fail"
    assert "segment=new -10" in worst(found)[0]


@pytest.mark.parametrize("changes", [{"p_holm": NAN}, {"difference": {}}])
def test_a_missing_slice_metric_fails(changes):
    assert decision("slices", slices=[one_slice(**changes)]).status == "fail"


@pytest.mark.parametrize("few", [{"displays": 90.0}, {"clusters": 3}, {"events": 2.0}])
def test_thin_slices_are_not_judged_but_must_not_be_most_of_the_log(few):
    thin = one_slice(value="rare", difference={}, p_harm=NAN, p_holm=NAN, **few)
    assert decision("slices", slices=[thin]).status == "insufficient"
    many = one_slice(displays=1e7)
    assert decision("slices", slices=[many, thin]).status == "pass"


def test_no_slices_to_compare_pass_with_a_note():
    found = decision("slices", slices=[])
    assert (found.status, found.findings[0].sentence) == ("pass", "there is no slice to compare")


def test_what_the_limits_ask_for_beyond_the_defaults_is_asked_for():
    strict = Limits.from_dict(
        {
            "integrity": {"signature": True, "sbom": True},
            "policy_safety": {"kl_max": 0.1, "coverage_ratio_min": 0.99},
            "provenance": {"allow_dirty": True},
        }
    )
    unsigned = integrity.decide(
        evidence(integrity__signature="absent", integrity__sbom=False), strict.integrity
    )
    assert {one.metric for one in unsigned.findings if one.status == "fail"} == {
        "signature",
        "bill of materials",
    }
    far = policy_safety.decide(evidence(), strict.policy_safety)
    assert [one.status for one in far.findings if "coverage" in one.metric] == ["fail"]
    assert [one.status for one in far.findings if "KL" in one.metric] == ["insufficient"]
    dirty = provenance.decide(evidence(provenance__dirty=True), strict.provenance)
    assert dirty.status == "pass"


def test_a_person_is_awaited_and_does_not_decide():
    found = person.decide(evidence(), LIMITS.person)
    assert (found.status, found.decides) == ("insufficient", False)
    assert evidence().digest()[:12] in found.findings[0].sentence


def test_distances_are_positive_on_the_right_side_and_negative_on_the_wrong():
    for gate in GATES:
        measured = [one for one in decision(gate).findings if one.distance is not None]
        assert all(one.distance >= 0 for one in measured), gate
    beyond = decision("data", data__quarantined_share=0.2).findings[1]
    assert beyond.distance == pytest.approx(0.05 - 0.2)
