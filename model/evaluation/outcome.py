"""One reward of the log judged whole: estimates, agreement and health, as the evidence keeps them."""

from dataclasses import dataclass

from model.evaluation.compare import Estimate, compare
from model.evaluation.intervals import DRAWS, LEVEL, MOST_CLUSTERS, Interval
from model.evaluation.logged import Logged
from model.evaluation.overlap import Health, overlap, slot_overlap
from model.evaluation.totals import standard_estimators, tally


@dataclass(frozen=True)
class Outcome:
    """Challenger and incumbent on one reward; `dataclasses.asdict` is an outcome of the evidence.

    incumbent_health is None where the incumbent is the logging policy, whose weights are all 1.
    slot_health and slot_incumbent_health are of the slots' weights, None where there are none;
    slot_agreement is the difference by pi_dr less that by switch-DR; slots_wanting says why some
    or all displays have no slot weight.
    """

    unit: str
    estimates: dict[str, Estimate]
    agreement: Interval
    clusters: int
    health: Health
    incumbent_health: Health | None
    slot_health: Health | None
    slot_incumbent_health: Health | None
    slot_agreement: Interval
    slots_wanting: str | None = None


def judge_outcome(
    logged: Logged,
    unit: str,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    slots_wanting: str | None = None,
) -> Outcome:
    """Everything the gates ask of one reward, from rows of known propensity alone.

    Without any the estimates are nan, the direct method's too: it never stands in for the others.
    """
    slots = logged.slot_challenger is not None
    chosen = standard_estimators(predicted=logged.q_logged is not None, slots=slots)
    found = compare(tally(logged, chosen, MOST_CLUSTERS, seed), level=level, draws=draws, seed=seed)
    compared = logged.pi_incumbent is not None
    return Outcome(
        unit=unit,
        estimates=found.estimates,
        agreement=found.agreement,
        clusters=found.clusters,
        health=overlap(logged).health(),
        incumbent_health=overlap(logged, "incumbent").health() if compared else None,
        slot_health=slot_overlap(logged).health() if slots else None,
        slot_incumbent_health=(
            slot_overlap(logged, "incumbent").health() if slots and compared else None
        ),
        slot_agreement=found.slot_agreement,
        slots_wanting=slots_wanting,
    )
