"""Held-out bags, candidate and champion -> the evidence that the gates judge.

Both policies are scored on the same rows in this process, each from its own bundle. Only rows
with final labels judge.
"""

from typing import Any

import numpy as np

from components.adapters.clock import now
from components.adapters.ledger import Ledger
from components.day import Day, Frozen, once, to_json
from components.evaluate_candidate.day_facts import data_facts, days_of, provenance_facts
from components.evaluate_candidate.feature_facts import feature_facts, told_of
from components.evaluate_candidate.incumbent import Champion, find_champion
from components.evaluate_candidate.judged import UNITS, Judged, look_at
from components.evaluate_candidate.looks import take_look
from components.evaluate_candidate.policies import safety, slice_labels
from components.materialize_features.stage import NAME as FEATURES
from components.materialize_features.stage import Result as Features
from components.train_generator.stage import NAME as GENERATOR
from components.train_reward.stage import Settings as JudgeSettings
from components.training_set import TrainingSet, fetch_folder, read_training_set
from components.validate_logs.page import complete_page
from components.window import read_window
from model.bags import Bags
from model.bundle import Bundle, load_bundle
from model.evaluation.compare import predicted_gain
from model.evaluation.curve import roc_points
from model.evaluation.outcome import judge_outcome
from model.evaluation.overlap import overlap, slot_overlap
from model.evaluation.scores import Outcomes, score
from model.evaluation.slices import slice_differences
from model.evaluation.spending import Look
from validation.gate.evidence import Evidence
from validation.gate.trees import to_tree

NAME = "evaluate_candidate"
LEAST_EFFECTIVE = 500  # effective displays below which slices are looked at by slots
MOST_COVERED = 0.99  # share of the displays that must have a slot weight for it


class Settings(Frozen):
    """The shape of a bag, the registry, and how sharply intervals are drawn.

    level: of the two-sided intervals of all looks at a champion together.
    """

    name: str
    tracking_uri: str
    slots: tuple[str, ...]
    context: dict[str, str]
    feature_names: list[str]
    target: str
    by_product: bool
    draws: int
    level: float = 0.95
    seed: int
    author: str
    identity: dict[str, Any]

    def judge(self) -> JudgeSettings:
        """How the reward models of the other folds are fitted."""
        shared = ("slots", "context", "feature_names", "target", "by_product", "seed")
        chosen = {name: getattr(self, name) for name in shared}
        return JudgeSettings(**chosen, device="cpu", options={})


class Result(Frozen):
    """Where evidence and curve lie below the store, and the champion that they speak of."""

    evidence: str
    champion: int | None
    curve: str = ""


def run(day: Day, settings: Settings) -> Result:
    """evidence.json lies under the stage's folder, one for each champion compared with.

    Beside it the candidate's receiver operating characteristic on the judged rows, to look at.
    """
    champion = find_champion(
        day, settings.name, settings.tracking_uri, settings.slots, settings.context
    )
    number = None if champion is None else champion.version.number
    against = "log" if number is None else f"v{number}"

    def work() -> Result:
        ledger = Ledger(day.storage(), settings.name)
        look = take_look(ledger, day.attempt, number, day.ds, settings.level, now)
        evidence, curve = measure(day, settings, champion, look)
        _show_features(day, evidence)
        path, beside = (day.path(NAME, f"{word}-{against}.json") for word in ("evidence", "curve"))
        day.storage().write(beside, to_json(curve))
        day.storage().write(path, to_json(evidence))
        return Result(evidence=path, champion=number, curve=beside)

    return once(day, NAME, Result, work, variant=f"-{against}")


def measure(
    day: Day,
    settings: Settings,
    champion: Champion | None,
    look: Look,
    candidate: Bundle | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The evidence as plain JSON values (validation/gate/evidence.py), and the curve.

    `candidate` None is the attempt's own draft. Writes nothing to the store.
    """
    rows = read_training_set(
        day, settings.slots, settings.context, settings.feature_names
    ).judging()
    holdout = rows.holdout
    mature = holdout.click_mature if settings.target == "click" else holdout.conversion_mature
    share = float(holdout.impressions[mature].sum() / max(holdout.impressions.sum(), 1.0))
    judged = holdout.take(np.flatnonzero(mature))
    candidate = _draft(day) if candidate is None else candidate
    bundle = champion.bundle if champion is not None else None
    seen = look_at(
        judged, rows, candidate, bundle, settings.target, settings.by_product, settings.judge()
    )
    features = Features.model_validate_json(day.storage().read(day.path(FEATURES, "result.json")))
    sound = feature_facts(day, features, settings.slots)
    judged_days, learned_days = days_of(day)
    scores, curve = scores_of(
        judged, candidate, bundle, rows, draws=settings.draws, seed=settings.seed
    )
    tree = {
        "ds": day.ds,
        "incumbent": _incumbent(champion, judged_days),
        "provenance": provenance_facts(day, settings.identity, features),
        "data": data_facts(day, share),
        "features": sound,
        "reward_model": to_tree(scores),
        "slices": _slices(seen),
        "policy_value": {
            "target": settings.target,
            "level": look.level,
            "looks": look.number,
            "outcomes": outcomes_of(
                seen, level=look.level, draws=settings.draws, seed=settings.seed
            ),
            "holdout": features.split,
            "judged_days": judged_days,
            "learned_days": learned_days,
        },
        "safety": {
            **safety(seen.new, seen.old, rows),
            "other_fold_gain": to_tree(
                predicted_gain(seen.logged(settings.target), draws=settings.draws)
            ),
        },
    }
    return Evidence.from_dict(tree).to_dict(), curve


def _draft(day: Day) -> Bundle:
    with day.scratch("candidate") as scratch:
        draft = fetch_folder(day, day.path(GENERATOR, "bundle"), scratch)
        return load_bundle(draft, sealed=False)


def _show_features(day: Day, evidence: dict[str, Any]) -> None:
    """The data page gets what the evidence says of the features."""
    features = Features.model_validate_json(day.storage().read(day.path(FEATURES, "result.json")))
    complete_page(day, read_window(day).made[day.ds], told_of(features, evidence["features"]))


def _incumbent(champion: Champion | None, judged_days: list[str]) -> dict[str, Any]:
    if champion is None:
        return {}
    facts = {"kind": "champion", "version": str(champion.version.number)}
    flattering = [ds for ds in judged_days if ds in champion.learned]
    return facts | {"unreadable": champion.unreadable, "learned_judged": flattering}


def scores_of(
    judged: Bags,
    candidate: Bundle,
    champion: Bundle | None,
    rows: TrainingSet,
    *,
    draws: int,
    seed: int,
) -> tuple[Any, dict[str, list[float]]]:
    """(metrics of both reward models, the candidate's curve), of the event that it predicts."""
    event = candidate.reward.event
    counted = judged.clicks if event == "click" else judged.conversions
    what = Outcomes(counted, judged.impressions, judged.product_id, judged.cluster_id)
    mine = candidate.reward.rate(event, judged, rows.elements)
    assert mine is not None, "a model predicts its own event"
    theirs = None if champion is None else champion.reward.rate(event, judged, rows.elements)
    curve = roc_points(mine, counted, judged.impressions)
    return score(what, mine, theirs, draws=draws, seed=seed), curve


def outcomes_of(seen: Judged, *, level: float, draws: int, seed: int) -> dict[str, Any]:
    """Each outcome that the log knows, by every estimator."""
    found = {}
    for outcome in seen.outcomes:
        judged = judge_outcome(
            seen.logged(outcome),
            UNITS[outcome],
            level=level,
            draws=draws,
            seed=seed,
            slots_wanting=seen.slots_wanting,
        )
        found[outcome] = to_tree(judged)
    return found


def _slices(seen: Judged) -> list[Any]:
    """By slots where whole combinations have too few effective displays to say who is hurt."""
    logged = seen.logged(seen.target)
    labels = slice_labels(seen.bags, seen.rows)
    few = overlap(logged).health().effective_sample < LEAST_EFFECTIVE
    by_slot = few and slot_overlap(logged).health().known_share >= MOST_COVERED
    if by_slot:
        covered = np.isfinite(seen.new_slots.pseudo_inverse)
        logged = logged.take(covered)
        labels = {name: values[covered] for name, values in labels.items()}
    return [to_tree(one) for one in slice_differences(logged, labels, by_slot=by_slot)]
