"""Contract -> Great Expectations suites, and their results as plain numbers.

The only file that imports Great Expectations. The suite is built from the same rules as the row
masks, so both count the same rows; a test holds that they do.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from validation.contract import Rule

if TYPE_CHECKING:
    import pandas as pd


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


def _expectation(rule: Rule, mostly: float) -> Any:
    import great_expectations.expectations

    gxe: Any = great_expectations.expectations  # its classes are re-exported without saying so
    shared: dict[str, Any] = {"mostly": mostly, "meta": {"rule": rule.id}}
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
    """The suite of one rule set, run batch by batch; counts add up over batches exactly."""

    def __init__(self, rules: tuple[Rule, ...], mostly: float) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        asset = context.data_sources.add_pandas("bags").add_dataframe_asset("raw_bags")
        self._batch = asset.add_batch_definition_whole_dataframe("rows")
        suite = gx.ExpectationSuite(name="bags")
        for rule in rules:
            suite.add_expectation(_expectation(rule, mostly))
        self._suite = context.suites.add(suite)
        self.rules = rules
        self._rules = {rule.id: rule for rule in rules}
        self._mostly = mostly

    def check(self, rows: "pd.DataFrame", run_name: str) -> list[Check]:
        """One Check a rule over these rows; raises where a rule cannot be evaluated."""
        batch = self._batch.get_batch(batch_parameters={"dataframe": rows})
        outcome = batch.validate(self._suite, result_format="SUMMARY")
        return [self._read(result, len(rows), run_name) for result in outcome.results]

    def _read(self, result: Any, rows: int, run_name: str) -> Check:
        rule = self._rules[result.expectation_config.meta["rule"]]
        if result.exception_info and result.exception_info.get("raised_exception"):
            raise RuntimeError(
                f"Great Expectations could not evaluate rule {rule.id!r} in {run_name}: "
                f"{result.exception_info.get('exception_message')}"
            )
        unexpected = int(result.result.get("unexpected_count", 0))
        kind = result.expectation_config.type
        return Check(
            rule.id, rule.says, kind, rule.severity, rows, unexpected, bool(result.success)
        )

    def merge(self, batches: list[list[Check]]) -> list[Check]:
        """The checks of all batches as one: counts added, success against `mostly` of all rows."""
        merged = []
        for checks in zip(*batches, strict=True):
            rows = sum(check.rows for check in checks)
            unexpected = sum(check.unexpected for check in checks)
            first = checks[0]
            success = unexpected <= (1 - self._mostly) * rows
            merged.append(
                Check(
                    first.rule,
                    first.says,
                    first.expectation,
                    first.severity,
                    rows,
                    unexpected,
                    success,
                )
            )
        return merged
