"""Which estimators decide: whole combinations where they overlap, slots where only those do."""

import math

import pytest
from good_evidence import BY_SLOTS, HEALTH, evidence, interval

from validation.gate import estimate_health, policy_value, reward_model, slices
from validation.gate.limits import Limits
from validation.gate.verdict import Judgement, judge
from validation.pages.evidence_rows import estimator_rows, forest, health_facts

LIMITS = Limits()
CLICK = "policy_value__outcomes__click"
ESTIMATES = f"{CLICK}__estimates"


def verdict(**poison) -> Judgement:
    return judge(evidence(**(BY_SLOTS | poison)), LIMITS)


def gaps(pi: float, pi_dr: float, half: float = 0.001) -> dict:
    return {
        f"{ESTIMATES}__pi__difference": interval(pi, half),
        f"{ESTIMATES}__pi_dr__difference": interval(pi_dr, half),
    }


def test_slots_promote_where_whole_combinations_hardly_overlap_and_say_what_they_assume():
    found = verdict()
    assert found.verdict == "PROMOTE", found.reasons
    assert all("by slots" in one and "sum over slots" in one for one in found.reasons)
    assert {"PI in clicks" in one for one in found.reasons} == {True, False}


def test_the_estimators_of_whole_combinations_do_not_decide_then():
    lost = {f"{ESTIMATES}__{name}__difference": interval(-0.02, 0.001) for name in ("snips", "dr")}
    assert verdict(**lost).verdict == "PROMOTE"


@pytest.mark.parametrize(
    ("pi", "pi_dr", "status"),
    [
        (0.004, 0.004, "pass"),
        (0.004, 0.0, "insufficient"),
        (0.0, 0.004, "insufficient"),
        (-0.004, 0.004, "insufficient"),
        (-0.004, 0.0, "insufficient"),
        (0.0, 0.0, "insufficient"),
        (-0.004, -0.004, "fail"),
    ],
)
def test_both_slot_estimators_must_agree_on_a_gain_or_on_a_loss(pi, pi_dr, status):
    found = policy_value.decide(evidence(**(BY_SLOTS | gaps(pi, pi_dr))), LIMITS.policy_value)
    assert found.status == status, [one.sentence for one in found.findings]


THIN = HEALTH | {"effective_sample": 90.0}
UNSURE = [
    ({f"{CLICK}__slot_health": None, f"{CLICK}__slots_wanting": "no rules"}, "no rules"),
    ({f"{CLICK}__slot_health": THIN}, "effective sample: 20"),
    ({f"{CLICK}__slot_incumbent_health": THIN}, "effective sample: 20"),
    ({f"{CLICK}__slot_health__known_share": 0.98}, "effective sample: 20"),
    ({f"{CLICK}__slot_health__effective_sample": math.nan}, "effective sample: 20"),
    ({f"{CLICK}__slot_health__largest_share": 0.3}, "slots' largest share"),
    ({f"{CLICK}__slot_health__effective_events": 3.0}, "slots' effective rewarded displays: 3"),
    ({f"{CLICK}__slot_health__support": 0.5}, "slots' support: 0.5"),
    ({f"{ESTIMATES}__pi_mean_weight__challenger": interval(0.7, 0.02)}, "slots' mean weight is 0.7"),
    ({f"{CLICK}__slot_agreement": interval(0.004, 0.001)}, "PI_DR less switch-DR"),
    ({f"{ESTIMATES}__pi_dr_clip_20__difference": interval(-0.01, 0.001)}, "clipped at 20"),
    ({f"{CLICK}__clusters": 1}, "1 cluster"),
    ({f"{CLICK}__health__known_share": 0.0}, "insufficient for any off-policy claim"),
]  # fmt: skip


@pytest.mark.parametrize(("poison", "said"), UNSURE)
def test_slots_that_can_not_be_trusted_hold(poison, said):
    found = verdict(**poison)
    assert found.verdict == "HOLD"
    if "no rules" not in said:
        assert any(said in reason for reason in found.reasons), found.reasons
    else:
        health = estimate_health.decide(evidence(**(BY_SLOTS | poison)), LIMITS.estimate_health)
        assert any(said in one.sentence for one in health.findings)


def test_a_loss_is_held_where_neither_whole_combinations_nor_slots_have_enough_behind_them():
    lost = gaps(-0.02, -0.02) | {
        f"{ESTIMATES}__{name}__difference": interval(-0.02, 0.001) for name in ("snips", "dr")
    }
    assert verdict(**lost, **{f"{CLICK}__slot_health": THIN}).verdict == "HOLD"


def test_a_loss_is_held_where_only_the_champion_has_too_little_behind_it():
    thin = {f"{CLICK}__incumbent_health__effective_sample": 40.0}
    lost = {f"{ESTIMATES}__{name}__difference": interval(-0.02, 0.001) for name in ("snips", "dr")}
    assert judge(evidence(**thin, **lost), LIMITS).verdict == "HOLD"


def test_a_judge_that_could_not_be_fitted_leaves_no_slot_estimate_to_decide():
    tree = evidence(**BY_SLOTS).to_dict()
    del tree["policy_value"]["outcomes"]["click"]["estimates"]["pi_dr"]
    found = estimate_health.decide(type(evidence()).from_dict(tree), LIMITS.estimate_health)
    assert found.status == "insufficient"


def test_slots_that_contradict_whole_combinations_hold_a_promotion():
    slots = {k: v for k, v in BY_SLOTS.items() if "slot" in k}
    against = slots | {f"{ESTIMATES}__pi_dr__difference": interval(-0.004, 0.001)}
    found = judge(evidence(**against), LIMITS)
    assert found.verdict == "HOLD"
    assert any("contradicts" in reason for reason in found.reasons)
    assert judge(evidence(**slots), LIMITS).verdict == "PROMOTE"


def test_a_guardrail_goes_by_slots_where_whole_combinations_are_too_few():
    limits = Limits.from_dict({"policy_value": {"guardrails": {"value": 0.05}}}).policy_value
    thin = {f"{key}".replace("click", "value"): one for key, one in BY_SLOTS.items()}
    found = policy_value.decide(evidence(**thin), limits)
    guard = next(one for one in found.findings if one.metric.startswith("guardrail"))
    assert (guard.metric, guard.status) == ("guardrail value, by PI", "fail")
    snips = policy_value.decide(evidence(), limits)
    assert any(one.metric == "guardrail value, by SNIPS" for one in snips.findings)


def test_harm_in_a_slice_measured_by_slots_is_refused_and_by_too_few_of_them_held():
    hurt = {
        "name": "segment", "value": "new", "estimator": "pi_dr", "displays": 5e4, "events": 900.0,
        "clusters": 800, "difference": interval(-0.01, 0.002), "p_harm": 1e-9, "p_holm": 3e-9,
    }  # fmt: skip
    assert slices.decide(evidence(**BY_SLOTS, slices=[hurt]), LIMITS.slices).status == "fail"
    few = BY_SLOTS | {f"{CLICK}__slot_health": THIN, "slices": [hurt]}
    assert slices.decide(evidence(**few), LIMITS.slices).status == "insufficient"


def test_gates_that_would_look_at_different_estimators_are_refused():
    with pytest.raises(ValueError, match="expected the same"):
        Limits.from_dict({"policy_value": {"effective_sample_min": 200}})
    both = {"effective_sample_min": 200}
    limits = Limits.from_dict({"policy_value": both, "estimate_health": both})
    assert limits.policy_value.effective_sample_min == 200


def test_a_champion_on_days_that_it_learned_from_is_warned_of_but_does_not_hold():
    poison = {"incumbent__learned_judged": ["2026-11-22"]}
    found = reward_model.decide(evidence(**poison), LIMITS.reward_model)
    assert found.status == "pass"
    assert any("learned from judged days (2026-11-22)" in one.sentence for one in found.findings)
    assert any("v141 learned from" in name for name, _ in health_facts(evidence(**poison)))


def test_the_page_shows_the_estimators_that_decide_and_the_slots_health():
    shown = evidence(**BY_SLOTS)
    labels = [row["label"] for row in forest(shown, LIMITS)[0]["rows"]]
    assert labels == ["pseudo-inverse, by slots", "doubly robust, by slots"]
    assert [row["label"] for row in forest(evidence(), LIMITS)[0]["rows"]] == [
        "SNIPS",
        "doubly robust",
    ]
    rows = [row["label"] for row in estimator_rows(shown)["rows"]]
    assert "doubly robust by slots, weights clipped at 20" in rows
    assert dict(health_facts(shown))["by slots: effective sample"] == "6,100"
