"""One reward of the log judged whole: estimates, agreement and health, as the evidence keeps them."""

from dataclasses import dataclass

from model.evaluation.compare import Estimate, compare
from model.evaluation.intervals import DRAWS, LEVEL, Interval
from model.evaluation.logged import Logged
from model.evaluation.overlap import Health, overlap
from model.evaluation.totals import standard_estimators, tally


@dataclass(frozen=True)
class Outcome:
    """Challenger and incumbent on one reward; `dataclasses.asdict` is an outcome of the evidence.

    incumbent_health is None where the incumbent is the logging policy, whose weights are all 1.
    """

    unit: str
    estimates: dict[str, Estimate]
    agreement: Interval
    clusters: int
    health: Health
    incumbent_health: Health | None


def judge_outcome(
    logged: Logged, unit: str, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Outcome:
    """Everything the gates ask of one reward, from rows of known propensity alone.

    Without any the estimates are nan, the direct method's too: it never stands in for the others.
    """
    totals = tally(logged, standard_estimators(predicted=logged.q_logged is not None))
    found = compare(totals, level=level, draws=draws, seed=seed)
    compared = logged.pi_incumbent is not None
    return Outcome(
        unit=unit,
        estimates=found.estimates,
        agreement=found.agreement,
        clusters=found.clusters,
        health=overlap(logged).health(),
        incumbent_health=overlap(logged, "incumbent").health() if compared else None,
    )
