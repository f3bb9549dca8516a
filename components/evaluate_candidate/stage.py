"""Held-out bags, candidate and champion -> the evidence that the gates judge.

Both policies are scored on the same rows in this process, each from its own bundle. Only rows
with final labels judge.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from components.day import Day, Frozen, once, to_json
from components.evaluate_candidate.day_facts import data_facts, provenance_facts
from components.evaluate_candidate.incumbent import Champion, find_champion
from components.evaluate_candidate.judge import Judge, cross_fit
from components.evaluate_candidate.policies import Seen, safety, see, slice_labels
from components.materialize_features.stage import NAME as FEATURES
from components.materialize_features.stage import Result as Features
from components.train_generator.stage import NAME as GENERATOR
from components.train_reward.stage import Settings as JudgeSettings
from components.training_set import TrainingSet, fetch_folder, read_training_set
from model.bags import Bags
from model.bundle import Bundle, load_bundle
from model.evaluation.compare import compare, predicted_gain
from model.evaluation.logged import Logged
from model.evaluation.overlap import overlap
from model.evaluation.scores import Outcomes, score
from model.evaluation.slices import slice_differences
from model.evaluation.totals import standard_estimators, tally
from validation.gate.evidence import Evidence
from validation.gate.trees import to_tree

NAME = "evaluate_candidate"
UNITS = {"click": "clicks", "conversion": "conversions", "value": "value"}


class Settings(Frozen):
    """The shape of a bag, the registry, and how sharply intervals are drawn."""

    name: str
    tracking_uri: str
    slots: tuple[str, ...]
    context: dict[str, str]
    feature_names: list[str]
    target: str
    by_product: bool
    draws: int
    seed: int
    author: str
    identity: dict[str, Any]

    def judge(self) -> JudgeSettings:
        """How the reward models of the other folds are fitted."""
        shared = ("slots", "context", "feature_names", "target", "by_product", "seed")
        chosen = {name: getattr(self, name) for name in shared}
        return JudgeSettings(**chosen, device="cpu", options={})


class Result(Frozen):
    """Where the evidence lies below the store, and the champion it speaks of."""

    evidence: str
    champion: int | None


def run(day: Day, settings: Settings) -> Result:
    """evidence.json lies under the stage's folder, one for each champion compared with."""
    champion = find_champion(
        day, settings.name, settings.tracking_uri, settings.slots, settings.context
    )
    against = "log" if champion is None else f"v{champion.version.number}"

    def work() -> Result:
        evidence = measure(day, settings, champion)
        path = day.path(NAME, f"evidence-{against}.json")
        day.storage().write(path, to_json(evidence))
        number = None if champion is None else champion.version.number
        return Result(evidence=path, champion=number)

    return once(day, NAME, Result, work, variant=f"-{against}")


def measure(day: Day, settings: Settings, champion: Champion | None) -> dict[str, Any]:
    """The evidence as plain JSON values (validation/gate/evidence.py)."""
    rows = read_training_set(
        day, settings.slots, settings.context, settings.feature_names
    ).judging()
    holdout = rows.holdout
    mature = holdout.click_mature if settings.target == "click" else holdout.conversion_mature
    share = float(holdout.impressions[mature].sum() / max(holdout.impressions.sum(), 1.0))
    judged = holdout.take(np.flatnonzero(mature))
    with day.scratch("candidate") as scratch:
        draft = fetch_folder(day, day.path(GENERATOR, "bundle"), scratch)
        candidate = load_bundle(draft, sealed=False)
    judge = cross_fit(rows, judged, settings.judge())
    new = see(candidate, judged, rows, judge, settings.seed)
    bundle = champion.bundle if champion is not None else None
    old = see(bundle, judged, rows, judge, settings.seed) if bundle is not None else None
    features = Features.model_validate_json(day.storage().read(day.path(FEATURES, "result.json")))
    outcomes = _outcomes(judged, new, old, judge, rows, settings)
    logged = _logged(judged, new, old, judge, rows, settings, settings.target)
    tree = {
        "ds": day.ds,
        "incumbent": _incumbent(champion),
        "provenance": provenance_facts(day, settings.identity, features),
        "data": data_facts(day, share),
        "reward_model": to_tree(_scores(judged, candidate, bundle, rows, settings)),
        "slices": [to_tree(s) for s in slice_differences(logged, slice_labels(judged, rows))],
        "policy_value": {
            "target": settings.target,
            "level": 0.95,
            "outcomes": outcomes,
            "holdout": features.split,
        },
        "safety": {
            **safety(new, old, rows),
            "other_fold_gain": to_tree(predicted_gain(logged, draws=settings.draws)),
        },
    }
    return Evidence.from_dict(tree).to_dict()


def _incumbent(champion: Champion | None) -> dict[str, Any]:
    if champion is None:
        return {}
    facts = {"kind": "champion", "version": str(champion.version.number)}
    return facts | {"unreadable": champion.unreadable}


def _scores(
    judged: Bags, candidate: Bundle, champion: Bundle | None, rows: TrainingSet, settings: Settings
) -> Any:
    what = Outcomes(judged.clicks, judged.impressions, judged.product_id, judged.cluster_id)
    mine = candidate.reward.predict(judged, rows.elements).click
    theirs = None if champion is None else champion.reward.predict(judged, rows.elements).click
    return score(what, mine, theirs, draws=settings.draws, seed=settings.seed)


def _outcomes(
    judged: Bags,
    new: Seen,
    old: Seen | None,
    judge: Judge | None,
    rows: TrainingSet,
    settings: Settings,
) -> dict[str, Any]:
    """Each outcome that the log knows, by every estimator; only the target has predictions."""
    earned = {"click": judged.clicks, "conversion": judged.conversions, "value": judged.value}
    chosen = [k for k, v in earned.items() if k == settings.target or v.sum() > 0]
    found = {}
    for outcome in chosen:
        logged = _logged(judged, new, old, judge, rows, settings, outcome)
        totals = tally(logged, standard_estimators(logged.q_logged is not None))
        compared = compare(totals, draws=settings.draws, seed=settings.seed)
        found[outcome] = {
            "unit": UNITS[outcome],
            "estimates": to_tree(compared.estimates),
            "agreement": to_tree(compared.agreement),
            "clusters": compared.clusters,
            "health": asdict(overlap(logged).health()),
            "incumbent_health": asdict(overlap(logged, "incumbent").health()) if old else None,
        }
        found[outcome] = to_tree(found[outcome])
    return found


def _logged(
    judged: Bags,
    new: Seen,
    old: Seen | None,
    judge: Judge | None,
    rows: TrainingSet,
    settings: Settings,
    outcome: str,
) -> Logged:
    reward = {"click": judged.clicks, "conversion": judged.conversions, "value": judged.value}
    predicted = outcome == settings.target and judge is not None and new.q is not None
    return Logged(
        reward=reward[outcome],
        displays=judged.impressions,
        propensity=judged.propensity,
        pi_challenger=new.propensity,
        pi_incumbent=old.propensity if old is not None else None,
        cluster=judged.product_id if settings.by_product else judged.cluster_id,
        q_logged=judge.predict(judged, rows) if predicted and judge is not None else None,
        q_challenger=new.q if predicted else None,
        q_incumbent=old.q if predicted and old is not None else None,
        events=judged.conversions if outcome == "value" else None,
    )
