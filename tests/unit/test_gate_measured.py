"""From rows to verdict: what the estimators measure is what the gates judge."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from good_evidence import poisoned

from model.evaluation.compare import predicted_gain
from model.evaluation.logged import Logged
from model.evaluation.outcome import judge_outcome
from model.evaluation.scores import Outcomes, score
from model.evaluation.slices import slice_differences
from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.verdict import Judgement, judge

PRODUCTS, ARMS = 40, 6


def world(seed: int, effect: float, skill: float, rows: int = 12_000):
    """A randomised log of products whose arms differ by `effect`; a challenger that knows them
    with `skill` (-1: picks the worst, 0: guesses, 1: picks the best).

    Returns the log, product, arm's guessed rate, and place of each row.
    """
    rng = np.random.default_rng(seed)
    appeal, arms = rng.normal(0, 0.4, PRODUCTS), rng.normal(0, 1, (PRODUCTS, ARMS))
    rate = 1 / (1 + np.exp(3.2 - appeal[:, None] - effect * arms))
    noise = rng.normal(0, 1, (PRODUCTS, ARMS))
    belief = skill * arms + (1 - abs(skill)) * noise
    guessed = 1 / (1 + np.exp(3.2 - appeal[:, None] - max(effect, 0.1) * belief))
    odds = np.exp(1.2 * belief)
    pi = 0.9 * odds / odds.sum(1, keepdims=True) + 0.1 / ARMS
    product, arm = rng.integers(0, PRODUCTS, rows), rng.integers(0, ARMS, rows)
    logged = Logged(
        reward=(rng.random(rows) < rate[product, arm]).astype(float),
        displays=np.ones(rows),
        propensity=np.full(rows, 1 / ARMS),
        pi_challenger=pi[product, arm],
        q_logged=guessed[product, arm],
        q_challenger=(pi * guessed).sum(1)[product],
        cluster=rng.integers(0, rows // 4, rows),
    )
    return logged, product, rng.choice(["top", "side"], rows)


def verdict_of(logged: Logged, product: np.ndarray, place: np.ndarray, seed: int) -> Judgement:
    outcomes = Outcomes(logged.reward, logged.displays, product, logged.cluster)
    outcome = asdict(judge_outcome(logged, "clicks", draws=200, seed=seed))
    scores = asdict(score(outcomes, logged.q_logged, draws=200, seed=seed))
    tree = poisoned(
        incumbent={"kind": "logging policy"},
        policy_value__outcomes={"click": outcome},
        reward_model=scores,
        slices=[asdict(one) for one in slice_differences(logged, {"placement": place})],
        safety__other_fold_gain=asdict(predicted_gain(logged, draws=200, seed=seed)),
    )
    return judge(Evidence.from_dict(tree), Limits())


def test_pure_noise_with_real_randomisation_holds():
    """30 logs at a level of 2.5 % a side: 4 promotions, or 6 that do not hold, are beyond chance."""
    verdicts = [verdict_of(*world(seed, effect=0.0, skill=0.0), seed).verdict for seed in range(30)]
    assert verdicts.count("PROMOTE") <= 3
    assert verdicts.count("HOLD") >= 25


def test_a_clearly_better_policy_is_promoted_and_a_clearly_worse_one_never():
    better = [verdict_of(*world(seed, 0.6, 0.9), seed) for seed in range(8)]
    assert [one.verdict for one in better].count("PROMOTE") >= 7, better[0].reasons
    worse = [verdict_of(*world(seed, 0.6, -0.9), seed) for seed in range(8)]
    assert {one.verdict for one in worse} == {"REJECT"}


def test_the_same_log_without_propensities_holds_however_good_the_policy():
    logged, product, place = world(0, effect=0.6, skill=0.9)
    blind = replace(logged, propensity=np.full(len(logged), np.nan))
    found = verdict_of(blind, product, place, 0)
    assert found.verdict == "HOLD"
    assert any("insufficient" in reason for reason in found.reasons)


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_hardly_any_rows_hold_and_break_nothing(rows):
    logged, product, place = world(0, effect=0.6, skill=0.9)
    few = np.arange(rows)
    assert verdict_of(logged.take(few), product[few], place[few], 0).verdict == "HOLD"


def test_a_single_cluster_holds():
    logged, product, place = world(0, effect=0.6, skill=0.9)
    alone = replace(logged, cluster=np.zeros(len(logged), dtype=int))
    assert verdict_of(alone, product, place, 0).verdict == "HOLD"


def test_a_challenger_that_the_log_never_shows_holds():
    logged, product, place = world(0, effect=0.6, skill=0.9)
    never = replace(logged, pi_challenger=np.zeros(len(logged)))
    assert verdict_of(never, product, place, 0).verdict == "HOLD"
