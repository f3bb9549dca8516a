"""`genco evaluate --bundle`: what a bundle's policy would have earned on logged rows of a file.

No store, registry or config: rows with propensities and outcomes are enough. Measures, and judges
nothing: the gates ask for more than a file of rows can say.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import Refused, WrongUse
from components.evaluate_candidate.judged import look_at
from components.evaluate_candidate.stage import outcomes_of, scores_of
from components.train_reward.stage import Settings as JudgeSettings
from components.training_set import TrainingSet
from model.bags import Bags, read_bags
from model.bundle import Bundle
from model.elements import Elements
from model.evaluation.intervals import DRAWS, LEVEL
from pipelines.scoring import open_bundle, read_elements
from pipelines.tables import read_table, write_json
from validation.gate.trees import to_tree

HELD = 3
NEEDED = ("product_id", "context", "creative", "propensity", "clicks")


def measure(
    bundle: Path, bags: Path, elements: Path | None, against: Path | None, out: Path | None
) -> dict[str, Any]:
    """{rows, displays, target, level, reward_model, outcomes, exit_code}; exit 3 where no row has a
    propensity. against: another bundle, None for the policy that logged the rows."""
    opened = open_bundle(bundle)
    other = None if against is None else open_bundle(against)
    if other is not None and (other.slots, other.context) != (opened.slots, opened.context):
        raise Refused(
            f"--against {against} knows slots {', '.join(other.slots)} and context "
            f"{', '.join(other.context)}, --bundle {', '.join(opened.slots)} and "
            f"{', '.join(opened.context)}; only bundles of one shape can be compared"
        )
    target = opened.config["target"]
    rows, left_out = _rows(bags, _known(opened, other, elements), opened)
    if rows.bags.impressions.sum() <= 0:
        raise WrongUse(
            f"--bags {bags} has no display whose label is final; expected rows with impressions > 0"
        )
    seen = look_at(rows.bags, rows, opened, other, target, False, _judge(opened))
    drawn = {"draws": DRAWS, "seed": opened.config["seed"]}
    scores, _ = scores_of(rows.bags, opened, other, rows, **drawn)
    known = float(rows.bags.impressions[np.isfinite(rows.bags.propensity)].sum())
    told = {
        "bundle": str(bundle),
        "against": "log" if against is None else str(against),
        "rows": len(rows.bags),
        "rows_left_out": left_out,
        "displays": float(rows.bags.impressions.sum()),
        "displays_of_known_propensity": known,
        "target": target,
        "level": LEVEL,
        "reward_model": to_tree(scores),
        "outcomes": outcomes_of(seen, level=LEVEL, **drawn),
    }
    if out is not None:
        write_json(told, out)
    return {**told, "out": None if out is None else str(out), "exit_code": 0 if known else HELD}


def _known(opened: Bundle, other: Bundle | None, elements: Path | None) -> Elements:
    """Every element that a bundle or the file knows, with its history where one has it."""
    known = opened.known
    try:
        known = known if other is None else other.known.concat(known)
        return known if elements is None else known.concat(read_elements(elements, opened))
    except ValueError as error:
        raise Refused(f"elements of the bundles don't go together: {error}") from error


def _rows(file: Path, known: Elements, opened: Bundle) -> tuple[TrainingSet, int]:
    """(the file's rows with final labels, how many others there are)."""
    table = read_table(file, NEEDED, "--bags")
    try:
        bags = read_bags(table, known, opened.context)
    except ValueError as error:
        raise Refused(f"--bags {file}: {error}") from error
    if "cluster_id" not in table.column_names and "user_id" in table.column_names:
        users = table["user_id"].to_pylist()
        pairs = zip(users, bags.product_id, strict=True)
        named = np.array([str(user or product) for user, product in pairs], object)
        bags = replace(bags, cluster_id=named)
    _check(file, bags)
    mature = bags.click_mature if opened.config["target"] == "click" else bags.conversion_mature
    final = bags.take(np.flatnonzero(mature))
    return TrainingSet(final, np.ones(len(final), bool), known, table), len(bags) - len(final)


def _check(file: Path, bags: Bags) -> None:
    given = bags.propensity[np.isfinite(bags.propensity)]
    odd = int(((given <= 0) | (given > 1)).sum())
    more = int((bags.clicks > bags.impressions).sum())
    if odd or more:
        raise Refused(
            f"--bags {file}: {odd:,} of {len(bags):,} rows have a propensity outside (0, 1], {more:,} "
            "more clicks than impressions; repair the rows (docs/contract.md)"
        )


def _judge(opened: Bundle) -> JudgeSettings:
    """How the reward models are fitted that predict for the doubly robust estimates."""
    return JudgeSettings(
        slots=opened.slots,
        context=opened.context,
        feature_names=list(opened.config["feature_service"]["names"]),
        target=opened.config["target"],
        by_product=False,
        seed=opened.config["seed"],
        device="cpu",
        options={},
    )


def words(told: dict[str, Any]) -> str:
    """The same for a terminal."""
    from pipelines.evaluating import estimate_lines

    lines = [f"{told['bundle']} against {told['against']}: {told['displays']:,.0f} displays"]
    if told["rows_left_out"]:
        lines.append(f"{told['rows_left_out']:,} rows left out: their labels are not final")
    if not told["displays_of_known_propensity"]:
        lines.append("no row has a propensity, so nothing can be said of what the policy earns")
    for outcome, found in told["outcomes"].items():
        lines += estimate_lines(found["estimates"], outcome, told["level"])
    return "\n".join(lines)
