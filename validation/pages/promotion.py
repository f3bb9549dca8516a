"""The promotion page: should the challenger replace the incumbent?

`render_promotion(view)` gives one self-contained HTML page. The view is plain JSON:

    name        str        registry name of what is promoted ("shop")
    version     str|None   registry version of the challenger; None: not registered
    ds          str        the day
    made_at     str        ISO time (UTC) at which the evidence was made
    expires_at  str|None   ISO time after which an approval of it is void
    judgement   dict       Judgement.to_dict() (validation/gate/verdict.py)
    evidence    dict       Evidence.to_dict() (validation/gate/evidence.py)
    limits      dict|None  Limits.to_dict(): margins are drawn from it
    cards       [dict]     sampled products, any order; each
                           {product_id: str, context: {name: value}, disagreement: float,
                            challenger: card, incumbent: card|None}
                           card = {elements: [{slot, element_id, text, contribution}],
                                   probability: float|None, predicted: float|None}
                           contribution: log-odds of the element (reward attribution) or None;
                           predicted: reward per display. incumbent None: nothing to show.
    changes     [dict]     {what, before, after}: code, config, data window, features, image; before
                           None: there was none
    days        [dict]     {ds, verdict, displays, quarantined_share, note}: the days learned from
    rollback    dict|None  {target: str, command: str, tested_at: str|None}
    history     [dict]     earlier decisions: {version, decision, by, at, reason, predicted,
                           observed}; predicted and observed: {value, low, high}|None, difference
                           in reward per display
    looks       int|None   judgements so far that the level is spread over

expires_at, limits, cards and what follows may be absent; the page then says that nothing is
known. A key that is not listed, or another one that is missing, is a ValueError. All text is escaped.
"""

from collections.abc import Mapping
from typing import Any

from validation.gate import policy_value
from validation.gate.basis import deciding, decisive
from validation.gate.evidence import Evidence, Interval
from validation.gate.limits import Limits
from validation.pages.cards import card_pairs
from validation.pages.evidence_rows import (
    PER,
    estimator_rows,
    forest,
    health_facts,
    in_words,
    slice_rows,
)
from validation.pages.rendering import number, render

REQUIRED = ("name", "version", "ds", "made_at", "judgement", "evidence")
OPTIONAL: dict[str, Any] = {
    "expires_at": None,
    "limits": None,
    "cards": [],
    "changes": [],
    "days": [],
    "rollback": None,
    "history": [],
    "looks": None,
}
SHOWN_AT_FIRST = 12
WORDS = {"pass": "pass", "fail": "fail", "insufficient": "not enough"}
TONE = {"PROMOTE": "pass", "HOLD": "insufficient", "REJECT": "fail"}


def render_promotion(view: Mapping[str, Any]) -> str:
    """The page as HTML text; ValueError where the view is not as described above."""
    unknown = sorted(set(view) - set(REQUIRED) - set(OPTIONAL))
    missing = sorted(set(REQUIRED) - set(view))
    if unknown or missing:
        raise ValueError(
            f"promotion view: unknown {unknown}, missing {missing}; expected the fields listed in "
            "validation/pages/promotion.py"
        )
    whole = OPTIONAL | dict(view)
    evidence = Evidence.from_dict(whole["evidence"])
    limits = _limits(whole)
    names = Names(whole, evidence)
    return render(
        "promotion.html.j2",
        whole
        | {
            "challenger": names.challenger,
            "incumbent": names.incumbent,
            "proof": evidence,
            "verdict": whole["judgement"]["verdict"],
            "tone": TONE[whole["judgement"]["verdict"]],
            "sentence": verdict_sentence(whole),
            "by_slots": _by_slots(evidence, limits),
            "forest": forest(evidence, limits),
            "estimators": estimator_rows(evidence),
            "health": health_facts(evidence),
            "doubts": _sentences(whole["judgement"], "estimate health", passed=False),
            "slices": slice_rows(evidence),
            "hurt": _sentences(whole["judgement"], "slices", passed=True)[:1],
            "shown_at_first": SHOWN_AT_FIRST,
            "pairs_of_cards": card_pairs(whole["cards"]),
            "history": [_told(past) for past in whole["history"]],
            "words": WORDS,
            "data": {key: whole[key] for key in ("evidence", "judgement", "limits")},
        },
    )


class Names:
    """How the page calls the two: v143 and v141, or the logging policy."""

    def __init__(self, view: Mapping[str, Any], evidence: Evidence) -> None:
        version = view["version"]
        self.challenger = f"v{version}" if version is not None else "the candidate"
        self.incumbent = evidence.incumbent.name


def verdict_sentence(view: Mapping[str, Any]) -> str:
    """The verdict in one sentence, with the measured difference or the weightiest reason."""
    evidence, limits = Evidence.from_dict(view["evidence"]), _limits(view)
    names, judgement = Names(view, evidence), view["judgement"]
    if judgement["verdict"] == "PROMOTE":
        earned = _earns(evidence, limits)
        return f"{names.challenger} should replace {names.incumbent}: it earns {earned}."
    said = f"{names.challenger} should not replace {names.incumbent}: "
    if judgement["verdict"] == "HOLD":
        said = f"Not enough evidence that {names.challenger} should replace {names.incumbent}: "
    return said + _headline(judgement) + "."


def _headline(judgement: Mapping[str, Any]) -> str:
    """The first failure or, where none failed, what the policy's value wants; and how many more."""
    reasons = judgement["reasons"]
    if not reasons:
        return "no reason was given"
    held = judgement["verdict"] == "HOLD"
    of_value = [one for one in reasons if held and one.startswith(policy_value.NAME)]
    more = f" (and {len(reasons) - 1} more, below)" if len(reasons) > 1 else ""
    return (of_value or reasons)[0] + more


def _limits(view: Mapping[str, Any]) -> Limits:
    return Limits.from_dict(view["limits"]) if view.get("limits") else Limits()


def _by_slots(evidence: Evidence, limits: Limits) -> bool:
    target, asked = evidence.target(), limits.policy_value
    return target is not None and deciding(target, asked) == asked.slot_estimators


def _earns(evidence: Evidence, limits: Limits) -> str:
    """By the deciding estimator that promises least."""
    target = evidence.target()
    found = None if target is None else decisive(target, limits.policy_value)
    if target is None or found is None:
        return "more, by a difference that was not measured"
    value, low, high = (number(PER * x, 3) for x in (found[1].value, found[1].low, found[1].high))
    return f"{value} more {target.unit} per 1,000 displays ({low} to {high})"


def _sentences(judgement: Mapping[str, Any], gate: str, passed: bool) -> list[str]:
    """A gate's sentences, those that passed only where asked for."""
    return [
        finding["sentence"]
        for decision in judgement["decisions"]
        if decision["name"] == gate
        for finding in decision["findings"]
        if passed or finding["status"] != "pass"
    ]


def _told(past: Mapping[str, Any]) -> dict[str, Any]:
    """A past decision with its differences in words."""
    said = {key: in_words(Interval(**(past.get(key) or {}))) for key in ("predicted", "observed")}
    return dict(past) | said
