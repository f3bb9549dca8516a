"""Rules -> the reasons of an unfit row, and a day's verdict with its sentences (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from validation.contract import Rule


def reasons_sql(rules: tuple[Rule, ...]) -> str:
    """SQL of a list of {rule, message}: every rule that a bag breaks, with the value found."""
    cases = [
        f"CASE WHEN {rule.violated()} THEN {{'rule': '{rule.id}', 'message': "
        f"{_literal(rule.says)} || '; found ' || {_found(rule)}}} END"
        for rule in rules
        if rule.severity != "warn"
    ]
    return f"list_filter([{', '.join(cases)}], r -> r IS NOT NULL)"


def _found(rule: Rule) -> str:
    first = rule.shows or rule.column
    columns = [first] if rule.other is None else [first, rule.other]
    return " || ' and ' || ".join(f"coalesce(CAST(\"{c}\" AS VARCHAR), 'nothing')" for c in columns)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Limits:
    """What a day may lose and still be used: shares of the distinct rows read, in 0..1.

    shares: how much of a day may break one rule, of the rules that were given a share of their
    own; `share_of` is what any rule is held to.
    """

    quarantined_share: float = 0.05
    rows: int = 1
    shares: Mapping[str, float] = field(default_factory=dict)

    def share_of(self, rule: Rule) -> float:
        """The share of rows that may break the rule before that is told of."""
        own = 0.0 if rule.severity == "warn" else self.quarantined_share
        return self.shares.get(rule.id, own)


@dataclass(frozen=True)
class DayFacts:
    """Counts of one day: rows read and fit, unfit ones, and these by reason.

    A row with two reasons is one of `refused_rows` and stands under both in `refused`. Repeats
    are read but say nothing new, so shares are of the distinct rows. `examples` holds the first
    refused row (file, row, message) of each rule. `warned` counts bags that break a rule of
    severity warn; they are fit. `displays` is the rows read of impressions and aggregates.
    """

    ds: str
    read: int
    fit: int
    refused_rows: int
    refused: Mapping[str, int]
    set_aside: Mapping[str, int]
    unreadable: tuple[str, ...]
    duplicate: int = 0
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warned: Mapping[str, int] = field(default_factory=dict)
    displays: int | None = None

    @property
    def distinct(self) -> int:
        """Rows read, each counted once however often it was sent."""
        return self.read - self.duplicate

    @property
    def failed(self) -> dict[str, int]:
        """Rows that broke each rule, whatever became of them; rules that none broke are absent."""
        rules = sorted({*self.refused, *self.set_aside, *self.warned})
        counts = (self.refused, self.set_aside, self.warned)
        return {rule: sum(one.get(rule, 0) for one in counts) for rule in rules}


def blocking_reasons(facts: DayFacts, limits: Limits) -> list[str]:
    """Why the day can't be used, a sentence each; empty where it can."""
    reasons = list(facts.unreadable)
    if facts.displays == 0:
        reasons.append(
            f"the impressions and aggregates of ds={facts.ds} hold no row that can be read; expected "
            "at least one display: ask the ad server for the day's files and run the day again"
        )
    elif facts.fit < limits.rows:
        reasons.append(
            f"ds={facts.ds} has {facts.fit} fit bags of {facts.read:,} rows read; expected at least "
            f"{limits.rows}: see the quarantine for why, repair the files and run the day again"
        )
    if facts.distinct and facts.refused_rows / facts.distinct > limits.quarantined_share:
        reasons.append(_over_limit(facts, limits))
    return reasons + [
        f"{_of_the_day(facts, rule)} (limit {limits.shares[rule]:.1%}); nothing of the day is "
        "used: repair the source and run the day again, see docs/runbook.md#quarantine"
        for rule in _over_share(facts, limits)
        if rule not in facts.warned
    ]


def warnings(facts: DayFacts, limits: Limits) -> list[str]:
    """What is to be looked at of a day that may be fit, a sentence each: rules that warn."""
    over = [
        rule
        for rule in facts.warned
        if facts.warned[rule] > limits.shares.get(rule, 0.0) * facts.distinct
    ]
    return [f"{_of_the_day(facts, rule)}; they are kept" for rule in over]


def _over_share(facts: DayFacts, limits: Limits) -> list[str]:
    failed = facts.failed
    return [
        rule
        for rule, share in limits.shares.items()
        if failed.get(rule, 0) > share * facts.distinct
    ]


def _of_the_day(facts: DayFacts, rule: str) -> str:
    failed = facts.failed[rule]
    return (
        f"{failed:,} of {facts.distinct:,} distinct rows of ds={facts.ds} "
        f"({failed / facts.distinct:.1%}) break rule {rule!r}"
    )


def _over_limit(facts: DayFacts, limits: Limits) -> str:
    refused = facts.refused_rows
    worst = max(facts.refused, key=lambda rule: (facts.refused[rule], rule))
    found = facts.examples.get(worst)
    first = f"; first: {found['file']} row {found['row']}: {found['message']}" if found else ""
    return (
        f"{refused:,} of {facts.distinct:,} distinct rows of ds={facts.ds} are unfit "
        f"({refused / facts.distinct:.1%}, limit {limits.quarantined_share:.1%}), most by rule "
        f"{worst!r} ({facts.refused[worst]:,} rows){first}; all are kept in the quarantine: repair "
        "the source and run the day again, see docs/runbook.md#quarantine"
    )
