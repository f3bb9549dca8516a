"""The judged rows as two policies see them: what every estimate of a day is made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from components.evaluate_candidate.judge import Judge, cross_fit
from components.evaluate_candidate.policies import Seen, see
from components.evaluate_candidate.slots import SlotWeights, references, slot_weights, wanting
from components.train_reward.stage import Settings as JudgeSettings
from components.training_set import TrainingSet
from model.bags import Bags
from model.bundle import Bundle
from model.evaluation.logged import Logged

UNITS = {"click": "clicks", "conversion": "conversions", "value": "value"}


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows with final labels, both policies on them, and who predicts their reward.

    old and old_slots are None where the incumbent is the logging policy.
    """

    bags: Bags
    rows: TrainingSet
    target: str
    by_product: bool
    judge: Judge | None
    new: Seen
    old: Seen | None
    new_slots: SlotWeights
    old_slots: SlotWeights | None

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The rewards that the log knows, the target in any case."""
        return tuple(k for k in UNITS if k == self.target or self.earned(k).sum() > 0)

    @property
    def slots_wanting(self) -> str | None:
        """Why some displays have no slot weight."""
        return wanting(self.bags, self.new_slots)

    def earned(self, outcome: str) -> np.ndarray:
        """(n,) the reward of each row."""
        bags = self.bags
        return {"click": bags.clicks, "conversion": bags.conversions, "value": bags.value}[outcome]

    def logged(self, outcome: str) -> Logged:
        """One reward of the rows; only the target has predictions."""
        bags, new, old, predicted = self.bags, self.new, self.old, outcome == self.target
        q = self._predicted if predicted else None
        slots, old_slots = self.new_slots, self.old_slots
        return Logged(
            reward=self.earned(outcome),
            displays=bags.impressions,
            propensity=bags.propensity,
            pi_challenger=new.propensity,
            pi_incumbent=old.propensity if old is not None else None,
            cluster=bags.product_id if self.by_product else bags.cluster_id,
            q_logged=q,
            q_challenger=new.q if q is not None else None,
            q_incumbent=old.q if q is not None and old is not None else None,
            events=bags.conversions if outcome == "value" else None,
            slot_challenger=slots.pseudo_inverse,
            slot_incumbent=old_slots.pseudo_inverse if old_slots is not None else None,
            independent_challenger=slots.independent,
            independent_incumbent=old_slots.independent if old_slots is not None else None,
        )

    @cached_property
    def _predicted(self) -> np.ndarray | None:
        return None if self.judge is None else self.judge.predict(self.bags, self.rows)


def look_at(
    bags: Bags,
    rows: TrainingSet,
    candidate: Bundle,
    champion: Bundle | None,
    target: str,
    by_product: bool,
    judging: JudgeSettings,
) -> Judged:
    """Candidate and champion on the same rows, with the same judge and the same reference."""
    judge = cross_fit(rows, bags, judging)
    new = see(candidate, bags, rows, judge, judging.seed)
    old = see(champion, bags, rows, judge, judging.seed) if champion is not None else None
    known = references(bags, rows, candidate.rules)
    return Judged(
        bags=bags,
        rows=rows,
        target=target,
        by_product=by_product,
        judge=judge,
        new=new,
        old=old,
        new_slots=slot_weights(known, bags, new.others),
        old_slots=slot_weights(known, bags, old.others) if old is not None else None,
    )
