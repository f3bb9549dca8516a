"""What came of past decisions: the difference foreseen when a version was judged, and that seen."""

from typing import Any

import numpy as np

from components.training_set import TrainingSet
from model.bags import Bags
from model.evaluation.intervals import bootstrap, percentile_interval
from validation.gate.basis import decisive
from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.trees import to_tree

FEWEST = 200  # displays of a version, and of the others, before a difference is told


def foreseen(facts: Evidence, limits: Limits) -> dict[str, Any] | None:
    """The difference per display that the evidence foresees, None where it has none."""
    target = facts.target()
    found = None if target is None else decisive(target, limits.policy_value)
    return None if found is None else {"by": found[0], **to_tree(found[1])}


def told(
    entry: dict[str, Any], entries: list[dict[str, Any]], rows: TrainingSet, name: str, target: str
) -> dict[str, Any]:
    """A decision as the page shows it."""
    judged = [
        e["foreseen"]
        for e in entries
        if e["kind"] == "judged"
        and e["version"] == entry["version"]
        and e["number"] < entry["number"]
        and e.get("foreseen")
    ]
    crowned = entry["kind"] in ("promoted", "rolled back")
    return {
        "version": str(entry["version"]),
        "decision": entry["kind"],
        "by": entry["by"],
        "at": entry["at"],
        "reason": entry.get("cause") or entry["reason"],
        "predicted": _bounds(judged[-1]) if judged else None,
        "observed": seen(rows.bags, names_of(name, entry["version"]), target) if crowned else None,
    }


def _bounds(foresight: dict[str, Any]) -> dict[str, Any]:
    return {key: foresight[key] for key in ("value", "low", "high")}


def names_of(name: str, version: int) -> tuple[str, ...]:
    """What an ad server may call this version in the log's `policy`."""
    return (str(version), f"v{version}", f"{name}-v{version}", f"{name}/{version}")


def seen(bags: Bags, names: tuple[str, ...], target: str) -> dict[str, Any] | None:
    """Reward per display under these policy names less that under others, on days with both.

    From the window's log, clusters drawn whole; None where either showed too little.
    """
    mine = np.isin(bags.policy.astype(str), names)
    reward = {"click": bags.clicks, "conversion": bags.conversions, "value": bags.value}[target]
    if min(bags.impressions[mine].sum(), bags.impressions[~mine].sum()) < FEWEST:
        return None
    _, at = np.unique(bags.cluster_id.astype(str), return_inverse=True)
    columns = [reward * mine, bags.impressions * mine, reward * ~mine, bags.impressions * ~mine]
    sums = np.stack([np.bincount(at, column) for column in columns], axis=1)
    drawn = bootstrap(sums, _gap, seed=0)
    return to_tree(percentile_interval(float(_gap(sums.sum(0)[None])[0]), drawn, len(sums)))


def _gap(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / np.maximum(sums[:, 1], 1) - sums[:, 2] / np.maximum(sums[:, 3], 1)
