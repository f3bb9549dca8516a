"""The contract of the data, written once: what a log row and a bag must be (CONTRACT 1 and 3).

Everything else is derived from here: how ingest types a column (components/ingest_logs), which
rows are unfit (`Rule.violated`, a SQL condition), what Great Expectations checks
(expectations.py) and the table in docs/contract.md. A rule is data, so its fingerprint can be
written beside every row that it refused.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

Type = Literal["string", "timestamp", "double", "count", "context", "creative"]
Severity = Literal["error", "exclude", "warn"]


@dataclass(frozen=True)
class Column:
    """A column of a log: its name, type, and whether a row without it is unfit."""

    name: str
    type: Type
    required: bool = True


LOGS: dict[str, tuple[Column, ...]] = {
    "impressions": (
        Column("impression_id", "string"),
        Column("shown_at", "timestamp"),
        Column("product_id", "string"),
        Column("user_id", "string", required=False),
        Column("context", "context"),
        Column("creative", "creative"),
        Column("propensity", "double", required=False),
        Column("policy", "string", required=False),
    ),
    "clicks": (
        Column("impression_id", "string"),
        Column("clicked_at", "timestamp"),
    ),
    "conversions": (
        Column("impression_id", "string"),
        Column("converted_at", "timestamp"),
        Column("value", "double", required=False),
    ),
    "aggregates": (
        Column("product_id", "string"),
        Column("context", "context"),
        Column("creative", "creative"),
        Column("propensity", "double", required=False),
        Column("policy", "string", required=False),
        Column("shown_at", "timestamp"),
        Column("impressions", "count"),
        Column("clicks", "count", required=False),
        Column("conversions", "count", required=False),
        Column("value", "double", required=False),
    ),
}


@dataclass(frozen=True)
class Rule:
    """One thing that a bag must satisfy, in a form that SQL and Great Expectations both take.

    `form` is one of: range (column within lower..upper), absent (column is null), holds (column
    is true), at_most (column <= other). Nulls satisfy range, holds and at_most. `error` rows
    count against the day's limit, `exclude` rows are set aside without blame (bots), `warn` rows
    are kept and counted. `shows` is the column that a reason quotes, where `column` alone says
    too little.
    """

    id: str
    says: str
    form: Literal["range", "absent", "holds", "at_most"]
    column: str
    lower: float | None = None
    upper: float | None = None
    above_lower: bool = False
    other: str | None = None
    severity: Severity = "error"
    shows: str | None = None

    def violated(self) -> str:
        """SQL condition, never null, that is true for the rows that break the rule."""
        column = f'"{self.column}"'
        if self.form == "absent":
            return f"{column} IS NOT NULL"
        if self.form == "holds":
            return f"coalesce(NOT {column}, false)"
        if self.form == "at_most":
            return f'coalesce({column} > "{self.other}", false)'
        below = "<=" if self.above_lower else "<"
        parts = [] if self.lower is None else [f"{column} {below} {self.lower}"]
        parts += [] if self.upper is None else [f"{column} > {self.upper}"]
        return f"coalesce({' OR '.join(parts)}, false)"


BAG_RULES: tuple[Rule, ...] = (
    Rule("day", "shown_at lies inside the partition's day", "holds", "in_day", shows="shown_at"),
    Rule(
        "propensity",
        "propensity lies in (0, 1] or is null",
        "range",
        "propensity",
        lower=0,
        upper=1,
        above_lower=True,
    ),
    Rule("shown", "at least one element was shown", "range", "elements_shown", lower=1),
    Rule("slot", "every slot is one of the config's", "absent", "unknown_slots"),
    Rule("element", "every element is in the catalog", "absent", "unknown_elements"),
    Rule("allowed", "the combination is allowed by the catalog", "absent", "not_allowed"),
    Rule("clicks", "clicks <= impressions", "at_most", "clicks", other="impressions"),
    Rule("negative_clicks", "clicks >= 0", "range", "clicks", lower=0),
    Rule("impressions", "impressions >= 0", "range", "impressions", lower=0),
    Rule("conversions", "conversions >= 0", "range", "conversions", lower=0),
    Rule(
        "test",
        "the display is no test traffic or declared bot of quality.test_traffic",
        "absent",
        "test_traffic",
        severity="exclude",
    ),
    Rule(
        "traffic",
        "a user is shown at most 200 displays a day (bots)",
        "range",
        "user_impressions",
        upper=200,
        severity="exclude",
    ),
    Rule("value", "value >= 0", "range", "value", lower=0, severity="warn"),
    Rule(
        "context",
        "every declared context field is present",
        "absent",
        "missing_context",
        severity="warn",
    ),
)

# Bags that break these can still be learned from: they may be waived, or warned of only.
WAIVABLE = ("traffic", "test", "allowed")

_TYPES = {
    "string": "text",
    "timestamp": "a UTC timestamp",
    "double": "a number",
    "count": "a whole number",
    "context": "a JSON object of the declared fields",
    "creative": "a JSON object of slot: element",
}
_ATTRIBUTION: dict[str, tuple[str, Severity]] = {
    "orphan": ("every click and conversion belongs to an impression", "error"),
    "before": ("no click or conversion comes before its impression", "error"),
    "window": ("every event lies inside the attribution window", "exclude"),
    "unusable": ("the event's impression is not itself set aside", "exclude"),
}


def reading_rules() -> dict[str, tuple[str, Severity]]:
    """What every log row must pass before it is a bag: rule id -> (in words, severity)."""
    columns = {column.name: column for kind in LOGS.values() for column in kind}
    rules: dict[str, tuple[str, Severity]] = {"json": ("every line is a JSON object", "error")}
    for column in columns.values():
        if column.required:
            rules[f"missing.{column.name}"] = (f"{column.name} is present", "error")
        says = f"{column.name}, where given, is {_TYPES[column.type]}"
        rules[f"type.{column.name}"] = (says, "error")
    return rules | _ATTRIBUTION


def bag_rules(user_limit: int) -> tuple[Rule, ...]:
    """The rules of a bag with the configured traffic limit (displays a user a day)."""
    return tuple(
        replace(rule, upper=float(user_limit), says=rule.says.replace("200", f"{user_limit}"))
        if rule.id == "traffic"
        else rule
        for rule in BAG_RULES
    )


def fingerprint(rules: tuple[Rule, ...]) -> str:
    """First 16 hex digits of the sha256 of the rules: names the rule set that refused a row."""
    text = json.dumps([asdict(rule) for rule in rules], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class BrokenRuleError(Exception):
    """A rule that cannot be evaluated: a fault of the rules, not of the data."""


def check_rules(rules: tuple[Rule, ...], columns: set[str]) -> None:
    """Nothing, or BrokenRuleError naming the rule whose column no bag has."""
    for rule in rules:
        for column in (rule.column, rule.other, rule.shows):
            if column is not None and column not in columns:
                raise BrokenRuleError(
                    f"rule {rule.id!r} reads column {column!r}, which bags do not have "
                    f"(they have {', '.join(sorted(columns))}); correct the rule, the data is not "
                    "at fault"
                )
