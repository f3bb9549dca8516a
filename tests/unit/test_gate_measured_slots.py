"""From rows to verdict where only slots overlap: 6^4 combinations and 12,000 displays."""

from dataclasses import asdict, replace

import numpy as np
from good_evidence import poisoned

from model.evaluation.compare import predicted_gain
from model.evaluation.logged import Logged
from model.evaluation.outcome import judge_outcome
from model.evaluation.slots import pseudo_inverse_weights, uniform_reference
from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.verdict import Judgement, judge

SLOTS, KINDS, ROWS = 4, 6, 12_000
EVERY = np.stack(np.unravel_index(np.arange(KINDS**SLOTS), (KINDS,) * SLOTS), axis=1)
REFERENCE = uniform_reference(EVERY, (KINDS,) * SLOTS)


def world(seed: int, effect: float, skill: float) -> Logged:
    """A uniform log; a challenger whose belief of the elements is right by `skill` (-1: reversed),
    sure enough to show hardly more than one combination. Rates have interactions that the judge
    does not know, and the judge believes the challenger a little."""
    rng = np.random.default_rng(seed)
    alone, crossed = rng.normal(0, 1, (SLOTS, KINDS)), rng.normal(0, 0.5, (KINDS, KINDS))
    score = sum(alone[s][EVERY[:, s]] for s in range(SLOTS)) + crossed[EVERY[:, 0], EVERY[:, 1]]
    rate = 1 / (1 + np.exp(2.2 - effect * score))
    noise = rng.normal(0, 2.0, len(EVERY))
    belief = 6.0 * (skill * score + (1 - abs(skill)) * noise)
    pi = np.exp(belief - belief.max())
    pi = 0.98 * pi / pi.sum() + 0.02 / len(EVERY)
    shown = rng.integers(0, len(EVERY), ROWS)
    shares = REFERENCE.shares(EVERY[rng.choice(len(EVERY), (ROWS, 16), p=pi)])
    log = np.full(ROWS, 1 / len(EVERY))
    weight = pseudo_inverse_weights(REFERENCE, EVERY[shown], shares, log)
    without = sum(alone[s][EVERY[:, s]] for s in range(SLOTS))
    guess = 1 / (1 + np.exp(2.2 - effect * without - 0.002 * belief))
    return Logged(
        reward=(rng.random(ROWS) < rate[shown]).astype(float),
        displays=np.ones(ROWS),
        propensity=log,
        pi_challenger=pi[shown],
        q_logged=guess[shown],
        q_challenger=np.full(ROWS, float(guess @ pi)),
        cluster=rng.integers(0, ROWS // 4, ROWS),
        slot_challenger=weight,
        independent_challenger=weight,
    )


def verdict_of(logged: Logged, seed: int) -> Judgement:
    outcome = asdict(judge_outcome(logged, "clicks", level=0.97, draws=200, seed=seed))
    tree = poisoned(
        incumbent={"kind": "logging policy"},
        policy_value__outcomes={"click": outcome},
        slices=[],
        safety__other_fold_gain=asdict(predicted_gain(logged, draws=50, seed=seed)),
    )
    return judge(Evidence.from_dict(tree), Limits())


def test_whole_combinations_of_this_world_could_not_decide():
    found = judge_outcome(world(0, 0.3, 0.9), "clicks", draws=20)
    assert found.health.effective_sample < 200
    assert found.slot_health.effective_sample > 500


def test_noise_with_real_randomisation_holds_by_slots_too():
    """30 logs at 1.5 % a side: 4 promotions, or 6 that do not hold, are beyond chance."""
    found = [verdict_of(world(seed, 0.0, 0.0), seed) for seed in range(30)]
    verdicts = [one.verdict for one in found]
    assert verdicts.count("PROMOTE") <= 3
    assert verdicts.count("HOLD") >= 25
    gains = [gate.status for one in found for gate in one.decisions if gate.name == "policy value"]
    assert gains.count("pass") <= 3


def test_a_better_policy_is_promoted_by_slots_and_a_worse_one_never():
    better = [verdict_of(world(seed, 0.4, 0.9), seed) for seed in range(8)]
    assert [one.verdict for one in better].count("PROMOTE") >= 6, better[0].reasons
    assert all("sum over slots" in one.reasons[0] for one in better if one.verdict == "PROMOTE")
    worse = [verdict_of(world(seed, 0.4, -0.9), seed).verdict for seed in range(8)]
    assert "PROMOTE" not in worse
    assert worse.count("REJECT") >= 4


def test_without_propensities_slots_say_nothing_however_good_the_policy():
    logged = world(0, 0.4, 0.9)
    blind = replace(logged, propensity=np.full(ROWS, np.nan))
    found = verdict_of(blind, 0)
    assert found.verdict == "HOLD"
    assert any("insufficient" in reason for reason in found.reasons)


def test_a_log_that_lacks_elements_it_claims_to_show_holds():
    """Half of one slot's elements never appear though the propensities say they might."""
    logged = world(0, 0.4, 0.9)
    rng = np.random.default_rng(0)
    seen = logged.slot_challenger > np.quantile(logged.slot_challenger, 0.3)
    kept = logged.take(np.flatnonzero(seen | (rng.random(ROWS) < 0.2)))
    found = verdict_of(kept, 0)
    assert found.verdict == "HOLD"
    assert any("mean weight" in reason for reason in found.reasons), found.reasons
