"""Gate: does the reward model order and predict, and no worse than the champion's?"""

import math

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Evidence, Incumbent, Interval, RewardModel
from validation.gate.limits import RewardModelLimits
from validation.gate.rules import above, at_least, below, missing, note

NAME = "reward model"
SOURCE = "evidence.reward_model"


def decide(evidence: Evidence, limits: RewardModelLimits) -> Decision:
    """Fails where an interval is wholly beyond a floor or margin; holds where it spans it."""
    found = evidence.reward_model
    if found is None:
        return unmeasured(NAME, "reward_model")
    events = at_least("rewarded displays", found.events, limits.events_min, f"{SOURCE}.events")
    if found.events == 0:
        return decided(NAME, [events])
    floors = [events, _auc(found, limits), _calibration(found, limits), _log_loss(found)]
    return decided(NAME, floors + _against_champion(evidence, found, limits))


def _auc(found: RewardModel, limits: RewardModelLimits) -> Finding:
    """Below the floor it holds: a log of chance teaches nothing; `reject` fails."""
    source = f"{SOURCE}.challenger.auc"
    if found.pairs == 0:
        sentence = "no product has both clicked and unclicked displays, so AUC says nothing yet"
        return Finding("AUC", None, limits.auc_min, None, "insufficient", source, sentence)
    auc = found.challenger.get("auc", Interval())
    finding = above("AUC within product", auc, limits.auc_min, source)
    if finding.status == "fail" and auc.high >= limits.auc_reject:
        return finding.softened("it learned nothing of the elements yet")
    return finding


def _calibration(found: RewardModel, limits: RewardModelLimits) -> Finding:
    """Beyond `max` it holds: drift of the base rate does not change the choice; `reject` fails."""
    source = f"{SOURCE}.challenger.calibration_error"
    error = found.challenger.get("calibration_error", Interval())
    finding = below("calibration error", error, limits.calibration_error_max, source)
    if finding.status == "fail" and error.low <= limits.calibration_error_reject:
        return finding.softened("calibrate again on later days")
    return finding


def _log_loss(found: RewardModel) -> Finding:
    source, loss = f"{SOURCE}.challenger.log_loss", found.challenger.get("log_loss", Interval())
    if not math.isfinite(loss.value):
        return missing("log loss", None, source)
    return note("log loss", loss.value, source, f"log loss is {loss.value:.5f} a display")


def _against_champion(
    evidence: Evidence, found: RewardModel, limits: RewardModelLimits
) -> list[Finding]:
    source, incumbent = f"{SOURCE}.difference", evidence.incumbent
    if not incumbent.is_champion:
        said = "no champion yet, so there is no reward model to compare with"
        return [note("champion", None, source, said)]
    if incumbent.unreadable:
        sentence = f"{incumbent.name} could not be scored: {incumbent.unreadable}; rebaseline"
        return [Finding("champion", None, "scored", None, "insufficient", source, sentence)]
    if found.difference is None or found.champion is None:
        return [missing("difference to the champion", None, source)]
    gap, loss = found.difference, found.champion.get("log_loss", Interval()).value
    margin = limits.log_loss_margin * loss
    name = f"less {incumbent.name}'s"
    log_loss = below(f"log loss {name}", gap.get("log_loss", Interval()), margin, source)
    auc = above(f"AUC {name}", gap.get("auc", Interval()), -limits.auc_margin, source)
    error = gap.get("calibration_error", Interval())
    calibration = below(f"calibration error {name}", error, limits.calibration_margin, source)
    judged = [log_loss, auc if found.pairs else _auc(found, limits), calibration]
    return judged + _flattered(incumbent)


def _flattered(incumbent: Incumbent) -> list[Finding]:
    """A warning where the champion is asked about days that it learned from."""
    if not incumbent.learned_judged:
        return []
    days, source = ", ".join(incumbent.learned_judged), "evidence.incumbent.learned_judged"
    sentence = (
        f"warning: {incumbent.name} learned from judged days ({days}), so its own figures are "
        "flattered here and the challenger's gain looks smaller than it is"
    )
    return [note("champion on days it learned from", days, source, sentence)]
