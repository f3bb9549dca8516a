"""How strictly a config holds the rules: severity and threshold by rule, over the contract's own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from validation.contract import BAG_RULES, WAIVABLE, Rule, Severity, reading_rules


@dataclass(frozen=True)
class Ruling:
    """What a config says of one rule; None leaves it as the contract has it.

    severity: error counts against the day, exclude sets aside without blame, warn keeps the row.
    share: of the day's distinct rows, 0..1, that may break the rule before the day is blocked
    (error, exclude) or warned of (warn). The config refuses another key (`__pydantic_config__`).
    """

    __pydantic_config__ = {"extra": "forbid"}

    severity: Severity | None = None
    share: float | None = None


def check_rulings(rulings: Mapping[str, Ruling]) -> None:
    """Nothing, or ValueError naming what no rule can be held to."""
    bags, reading = {rule.id: rule for rule in BAG_RULES}, reading_rules()
    for rule, ruling in rulings.items():
        if rule not in bags and rule not in reading:
            known = ", ".join([*bags, *reading])
            raise ValueError(f"{rule!r} is no rule; the rules are {known}")
        if ruling.share is not None and not 0 <= ruling.share <= 1:
            raise ValueError(f"{rule}.share is {ruling.share}; expected 0 to 1")
        kept = rule in WAIVABLE or (rule in bags and bags[rule].severity == "warn")
        if ruling.severity == "warn" and not kept:
            raise ValueError(
                f"{rule}.severity is warn, but a row that breaks it can't be learned from; expected "
                "error or exclude"
            )


def ruled(rules: tuple[Rule, ...], rulings: Mapping[str, Ruling]) -> tuple[Rule, ...]:
    """The rules with the severities that the config gives them."""
    return tuple(
        replace(rule, severity=severity_of(rule.id, rule.severity, rulings)) for rule in rules
    )


def severity_of(rule: str, own: Severity, rulings: Mapping[str, Ruling]) -> Severity:
    """The severity that holds: the config's, else the contract's own."""
    ruling = rulings.get(rule)
    return own if ruling is None or ruling.severity is None else ruling.severity


def blameless_rules(rules: tuple[Rule, ...], rulings: Mapping[str, Ruling]) -> list[str]:
    """Rules whose rows are set aside and do not count against the day; rules: as ruled."""
    reading = {
        rule: severity_of(rule, severity, rulings)
        for rule, (_, severity) in reading_rules().items()
    }
    held = {rule.id: rule.severity for rule in rules} | reading
    return [rule for rule, severity in held.items() if severity == "exclude"]


def shares_of(rulings: Mapping[str, Ruling]) -> dict[str, float]:
    """Rule -> the share that may break it, of the rules that were given one."""
    return {rule: one.share for rule, one in rulings.items() if one.share is not None}
