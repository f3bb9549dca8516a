"""Contract -> Great Expectations suites, and their results as plain numbers.

The only file that imports Great Expectations. The suite is built from the same rules as the row
masks, so both count the same rows; a test holds that they do.

Rows come in batches, so that memory is bounded. Every expectation is one of single rows (a value
is null, in a set, in a range, at most another): its counts are sums over batches, exactly those
of one pass over the whole. What is no sum over rows (a mean, a quantile, that values are unique)
would not be exact and is not asked here; drift and uniqueness are judged in SQL over all rows.
The values shown of failing rows are the first of them, at most SHOWN.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from validation.contract import Rule

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20
Counts = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """What Great Expectations found for one rule over all rows it was given."""

    rule: str
    says: str
    expectation: str
    severity: str
    rows: int
    unexpected: int
    success: bool


@dataclass(frozen=True)
class Validated:
    """A day's checks, and Great Expectations' own result of them, for its Data Docs too."""

    checks: list[Check]
    result: Any

    def to_json(self) -> dict[str, Any]:
        """The validation result as Great Expectations writes it."""
        return self.result.to_json_dict()

    def to_page(self) -> str:
        """Great Expectations' own Data Docs page of this result, styles from CDNs and all."""
        from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
        from great_expectations.render.view.view import DefaultJinjaPageView

        return DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(self.result))


def _expectation(rule: Rule, mostly: float) -> Any:
    import great_expectations.expectations

    gxe: Any = great_expectations.expectations  # its classes are re-exported without saying so
    shared: dict[str, Any] = {"mostly": mostly, "meta": {"rule": rule.id}}
    shared["severity"] = "warning" if rule.severity == "warn" else "critical"
    if rule.form == "absent":
        return gxe.ExpectColumnValuesToBeNull(column=rule.column, **shared)
    if rule.form == "holds":
        return gxe.ExpectColumnValuesToBeInSet(column=rule.column, value_set=[True], **shared)
    if rule.form == "at_most":
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=rule.other,
            column_B=rule.column,
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            **shared,
        )
    return gxe.ExpectColumnValuesToBeBetween(
        column=rule.column,
        min_value=rule.lower,
        max_value=rule.upper,
        strict_min=rule.above_lower,
        **shared,
    )


class BagSuite:
    """The suite of one rule set; shares: rule -> share of rows that may break it, 0..1."""

    def __init__(self, rules: tuple[Rule, ...], shares: Mapping[str, float]) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        asset = context.data_sources.add_pandas("bags").add_dataframe_asset("raw_bags")
        self._batch = asset.add_batch_definition_whole_dataframe("rows")
        suite = gx.ExpectationSuite(name="bags")
        for rule in rules:
            suite.add_expectation(_expectation(rule, 1 - shares[rule.id]))
        self._suite = context.suites.add(suite)
        self._rules = {rule.id: rule for rule in rules}
        self._shares = shares
        self.rules = rules

    @property
    def columns(self) -> list[str]:
        """The columns that the suite reads, in order of name."""
        others = {rule.other for rule in self.rules if rule.other}
        return sorted({rule.column for rule in self.rules} | others)

    def check(self, batches: Iterable["pd.DataFrame"], run_name: str) -> Validated:
        """One Check a rule over the rows of all batches; raises where a rule can't be evaluated."""
        whole: Any = None  # the first batch's result, which takes the counts of all
        found: list[Counts] = []
        for rows in batches:
            outcome = self.validate(rows)
            _check_evaluated(outcome, run_name)
            counts = [one.result for one in outcome.results]
            found = counts if whole is None else [*map(_added, found, counts)]
            whole = whole or outcome
        if whole is None:
            raise ValueError(f"{run_name}: no batch of rows; give one without rows")
        checks = [
            self._concluded(one, counts) for one, counts in zip(whole.results, found, strict=True)
        ]
        return Validated(checks, _concluded(whole, checks, run_name))

    def validate(self, rows: "pd.DataFrame", result_format: Any = "BASIC") -> Any:
        """Great Expectations' own result of one batch, with counts and the first values."""
        batch = self._batch.get_batch(batch_parameters={"dataframe": rows})
        outcome = batch.validate(self._suite, result_format=result_format)
        for one in outcome.results:
            one.result.setdefault("element_count", len(rows))
        return outcome

    def _concluded(self, one: Any, counts: Counts) -> Check:
        """The rule's check; writes the counts of all batches into Great Expectations' result."""
        rule = self._rules[_rule_of(one)]
        rows, unexpected = counts["element_count"], counts.get("unexpected_count", 0)
        success = unexpected <= self._shares[rule.id] * rows
        one.success, one.result = success, counts | _percents(counts)
        one.expectation_config.id = None  # a random one, new in every process
        kind = one.expectation_config.type
        return Check(rule.id, rule.says, kind, rule.severity, rows, unexpected, success)


def _check_evaluated(outcome: Any, run_name: str) -> None:
    """Nothing, or RuntimeError naming the rule that could not be evaluated."""
    for one in outcome.results:
        if one.exception_info and one.exception_info.get("raised_exception"):
            raise RuntimeError(
                f"Great Expectations could not evaluate rule {_rule_of(one)!r} in {run_name}: "
                f"{one.exception_info.get('exception_message')}"
            )


def _rule_of(one: Any) -> str:
    return one.expectation_config.meta["rule"]


def _added(one: Counts, other: Counts) -> Counts:
    """Counts of two batches as of one; values shown are the first."""
    sums = {
        key: one.get(key, 0) + other.get(key, 0)
        for key in ("element_count", "unexpected_count", "missing_count")
        if key in one or key in other
    }
    shown = one.get("partial_unexpected_list", []) + other.get("partial_unexpected_list", [])
    return {**one, **sums, "partial_unexpected_list": shown[:SHOWN]}


def _percents(counts: Counts) -> Counts:
    """The percentages of added counts, under the names that the result has them by."""
    rows, missing = counts["element_count"], counts.get("missing_count", 0)
    unexpected = counts.get("unexpected_count", 0)
    shares = {
        "unexpected_percent": (unexpected, rows - missing),
        "unexpected_percent_total": (unexpected, rows),
        "unexpected_percent_nonmissing": (unexpected, rows - missing),
        "missing_percent": (missing, rows),
    }
    return {
        key: 100 * part / of if of else 0.0 for key, (part, of) in shares.items() if key in counts
    }


def _concluded(whole: Any, checks: list[Check], run_name: str) -> Any:
    good = sum(check.success for check in checks)
    whole.success = good == len(checks)
    whole.statistics = {
        "evaluated_expectations": len(checks),
        "successful_expectations": good,
        "unsuccessful_expectations": len(checks) - good,
        "success_percent": 100 * good / len(checks),
    }
    kept = ("great_expectations_version", "active_batch_definition")
    whole.meta = {key: whole.meta[key] for key in kept if key in whole.meta}
    whole.meta |= {"run_id": {"run_name": run_name}}
    whole.id = None
    return whole
