"""A challenger judged as the pipeline judges: rows -> evidence -> verdict, with default limits.

What is measured goes through model.evaluation and validation.gate; what a small shop can't have
(commit, bundle, the day's volume) stands in the evidence as it does on a good day.
"""

from dataclasses import asdict, replace

import numpy as np

from benchmarks.gate_worlds.candidates import Stage, Version, leaked
from benchmarks.gate_worlds.reward import fit
from benchmarks.gate_worlds.world import CHOICE, CONTEXTS, SEGMENTS, Log, counts_of
from model.evaluation.compare import predicted_gain
from model.evaluation.intervals import Interval
from model.evaluation.logged import Logged
from model.evaluation.outcome import judge_outcome
from model.evaluation.scores import Outcomes, score
from model.evaluation.slices import slice_differences
from model.evaluation.slots import (
    independent_weights,
    pseudo_inverse_weights,
    uniform_reference,
)
from model.evaluation.spending import take
from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.trees import to_tree

DRAWS, COVERING = 1000, 400
SAMPLED = 10_000
DEFAULT = Limits()
GOOD_DAY = {
    "provenance": {
        "commit": "4f2a9c1d7e60",
        "dirty": False,
        "image": "local",
        "inputs": "91bc",
        "features": "5d2e",
        "seed": 0,
        "ds": ["2026-11-23"],
    },
    "data": {"verdict": "FIT", "quarantined_share": 0.0, "mature_share": 1.0},
    "features": {
        "age_days": 0.0,
        "judged_null_rate": 0.0,
        "learned_null_rate": 0.0,
        "checked": 1000,
        "early": 0,
        "parity_sampled": 100,
        "parity_equal": 100,
    },
    "serving": {
        "answered": 1.0,
        "difference": 0.0,
        "strangers": [],
        "p95_ms": 20.0,
        "peak_mib": 400.0,
    },
    "integrity": {
        "unsafe_files": [],
        "digests_match": True,
        "signature": "verified",
        "sbom": True,
    },
}


def logged_of(stage: Stage, challenger: Version, log: Log) -> Logged:
    """The held-out rows as both policies see them, with a judge cross-fitted over users."""
    at, a = log.request, log.combination
    new, old = challenger.policy, stage.champion.policy
    q, q_new, q_old = np.empty((3, len(at)))
    half = log.user % 2
    for fold in (0, 1):
        mine = half == fold
        rate = fit(counts_of(log, ~mine))
        q[mine] = rate[at[mine], a[mine]]
        q_new[mine] = (new * rate).sum(1)[at[mine]]
        q_old[mine] = (old * rate).sum(1)[at[mine]]
    weighed = {f"{kind}_{who}": table[at, a]
               for who, policy in (("challenger", new), ("incumbent", old))
               for kind, table in slot_weights(policy, stage.logging).items()}  # fmt: skip
    factor = leaked(log, challenger.reward) if challenger.leaks else np.ones(len(at))
    return Logged(
        reward=log.click,
        displays=np.ones(len(at)),
        propensity=stage.logging[at, a],
        pi_challenger=new[at, a],
        pi_incumbent=old[at, a],
        cluster=log.user,
        q_logged=q * factor,
        q_challenger=q_new * factor,
        q_incumbent=q_old * factor,
        **weighed,
    )


def slot_weights(policy: np.ndarray, logging: np.ndarray) -> dict[str, np.ndarray]:
    """(G, A) weights of a policy by slots, as the pipeline weighs: from a uniform reference."""
    reference = uniform_reference(CHOICE, (int(CHOICE.max()) + 1,) * CHOICE.shape[1])
    elements = (k == CHOICE for k in range(reference.options[0]))
    shares = np.stack([policy @ one for one in elements], axis=-1).reshape(len(policy), -1)
    asked = (
        reference,
        np.tile(CHOICE, (len(policy), 1)),
        np.repeat(shares, len(CHOICE), axis=0),
        logging.ravel(),
    )
    return {
        "slot": pseudo_inverse_weights(*asked).reshape(policy.shape),
        "independent": independent_weights(*asked).reshape(policy.shape),
    }


def evidence_of(
    stage: Stage,
    challenger: Version,
    log: Log,
    logged: Logged,
    look: int,
    seed: int,
    limits: Limits,
) -> Evidence:
    """The evidence that components/evaluate_candidate would write of these rows."""
    level = take(look, limits.policy_value.level).level
    outcome = judge_outcome(logged, "clicks", level=level, draws=DRAWS, seed=seed)
    what = Outcomes(log.click, logged.displays, log.request // CONTEXTS, log.user)
    mine = challenger.reward[log.request, log.combination]
    if challenger.leaks:
        mine = np.minimum(mine * leaked(log, challenger.reward), 1.0)
    theirs = stage.champion.reward[log.request, log.combination]
    tree = {
        "ds": "2026-11-23",
        "challenger": "2",
        "incumbent": {"kind": "champion", "version": "1"},
        **GOOD_DAY,
        "reward_model": to_tree(score(what, mine, theirs, draws=DRAWS, seed=seed)),
        "slices": [to_tree(one) for one in slice_differences(logged, slices_of(log))],
        "policy_value": {
            "target": "click",
            "level": level,
            "looks": look,
            "outcomes": {"click": to_tree(outcome)},
        },
        "safety": {
            "sampled": SAMPLED,
            "illegal": 0,
            "entropy": entropy(challenger.policy, stage),
            "champion_entropy": entropy(stage.champion.policy, stage),
            "coverage": coverage(challenger.policy, stage),
            "champion_coverage": coverage(stage.champion.policy, stage),
            "other_fold_gain": asdict(predicted_gain(logged, draws=DRAWS, seed=seed)),
        },
    }
    return Evidence.from_dict(tree)


def slices_of(log: Log) -> dict[str, np.ndarray]:
    """Slices as the pipeline has them: every categorical field of the context."""
    cell = log.request % CONTEXTS
    return {
        "placement": log.placement.astype(str),
        "device": (cell // SEGMENTS).astype(str),
        "segment": (cell % SEGMENTS).astype(str),
    }


def entropy(policy: np.ndarray, stage: Stage) -> float:
    """Mean entropy of a display, in nats."""
    each = -(policy * np.log(np.maximum(policy, 1e-300))).sum(1)
    return float(stage.world.weight @ each)


def coverage(policy: np.ndarray, stage: Stage) -> float:
    """Share of elements shown at least a tenth as often as chance would."""
    slots, elements = CHOICE.shape[1], CHOICE.max() + 1
    shown = np.stack([policy @ (k == CHOICE) for k in range(elements)], axis=-1)
    product = (stage.world.weight[:, None, None] * shown).reshape(-1, CONTEXTS, slots, elements)
    of_slot = product.sum(1) / product.sum(1).sum(-1, keepdims=True)
    return float((of_slot >= 0.1 / elements).mean())


def differences(logged: Logged, by_user: bool, seed: int) -> dict[str, Interval]:
    """Every estimator's 95 % interval of the difference, over users or over single displays.

    Without clipped weights and mean weights, which do not estimate it.
    """
    rows = logged if by_user else replace(logged, cluster=np.arange(len(logged)))
    found = judge_outcome(rows, "clicks", draws=COVERING, seed=seed).estimates
    shown = [name for name in found if "clip" not in name and "mean_weight" not in name]
    return {name: found[name].difference for name in shown}
