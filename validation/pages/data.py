"""The data page: is this day usable, and what must be fixed?

`render_data(view)` gives one self-contained HTML page. The view is plain values, all counted by
components/validate_logs:

    ds, attempt, rule_set   str     the day, what was read, and the fingerprint of the rules
    verdict     str         FIT or BLOCKED
    reasons     [str]       why it is blocked
    read, fit, unfit, blamed int    log rows read; bags fit to learn from; rows in quarantine; those
                            of them that count against the day
    refused, set_aside {rule: rows} rows that count against the day, and those without blame
    files       [dict]      manifest accounting: {file, read, kept, duplicate, quarantined} and
                            copy_of or unreadable where so
    hours       [dict]      {hour, impressions, clicks, unfit}: displays by hour (UTC)
    checks      [dict]      validation.expectations.Check as a dict
    quarantine  [dict]      {rule, rows, samples: [{file, row, message, raw, length}]}; raw may be
                            cut off, length is the whole
    quarantine_path str     below the store
    losses      [dict]      {product_id, rows, lost, share}, worst first
    policies    [dict]      {policy, impressions, clicks, conversions, value}
    propensity  dict        {unknown, lowest, median, highest}
    lag         [dict]      {minutes, clicks}: from display to its first click
    maturity    dict        {clicks, conversions}: shares of displays whose window had closed
    calendar    [dict]      {ds, verdict, fit, unfit} of every day of the window
    missing     [str]       days of the window without logs
    stands      str|None    fit attempt of this day that was published earlier and stays, if blocked
    limit       float|None  share of rows read that may count against the day
    runbook     str         address of docs/runbook.md
    findings    [dict]      validation.sanity.findings.Finding as a dict
    drift       [dict]      validation.drift.fields.Drift as a dict

The last five may be absent. A key that is not listed, or another one that is missing, is a
ValueError. All text is escaped and its invisible characters are written out.
"""

from collections.abc import Mapping
from typing import Any

from validation.pages import charts
from validation.pages.alerts import alerts
from validation.pages.beyond_rows import by_section, drift_rows
from validation.pages.day_rows import (
    bag_checks,
    calendar_days,
    day_ranges,
    file_rows,
    kind_rows,
    quarantine_groups,
    reading_checks,
    usual_volume,
)
from validation.pages.marking import visible
from validation.pages.rendering import render
from validation.pages.svg import bar

REQUIRED = (
    "ds",
    "attempt",
    "rule_set",
    "verdict",
    "reasons",
    "read",
    "fit",
    "unfit",
    "blamed",
    "refused",
    "set_aside",
    "files",
    "hours",
    "checks",
    "quarantine",
    "quarantine_path",
    "losses",
    "policies",
    "propensity",
    "lag",
    "maturity",
    "calendar",
    "missing",
)
OPTIONAL: dict[str, Any] = {
    "stands": None,
    "limit": None,
    "runbook": "docs/runbook.md",
    "findings": [],
    "drift": [],
}
SHOWN_AT_FIRST = {"reasons": 3, "files": 12, "samples": 1}


def render_data(view: Mapping[str, Any]) -> str:
    """The page as HTML text; ValueError where the view is not as described above."""
    unknown = sorted(set(view) - set(REQUIRED) - set(OPTIONAL))
    missing = sorted(set(REQUIRED) - set(view))
    if unknown or missing:
        raise ValueError(
            f"data view: unknown {unknown}, missing {missing}; expected the fields listed in "
            "validation/pages/data.py"
        )
    whole = visible(OPTIONAL | dict(view))
    points = charts.cumulative(whole["lag"])
    return render(
        "data.html.j2",
        whole
        | {
            "sentence": verdict_sentence(whole),
            "totals": _totals(whole),
            "groups": quarantine_groups(whole),
            "file_rows": file_rows(whole["files"]),
            "kind_rows": kind_rows(whole["files"]),
            "volume": charts.hour_columns(whole["hours"]),
            "usual": usual_volume(whole),
            "bag_checks": bag_checks(whole["checks"]),
            "reading_checks": reading_checks({g["rule"]: g["rows"] for g in whole["quarantine"]}),
            "loss_rows": [loss | {"bar": _share_bar(loss)} for loss in whole["losses"]],
            "lag_curve": charts.lag_curve(whole["lag"]) if points else None,
            "lag_unit": charts.lag_unit(points)[0],
            "lag_minutes": [charts.quantile(points, share) for share in (0.5, 0.9)],
            "policy_rows": [policy | {"rate": _rate(policy)} for policy in whole["policies"]],
            "missing_days": day_ranges(whole["missing"]),
            "findings": by_section(whole["findings"]),
            "drift_rows": drift_rows(whole["drift"], whole["findings"]),
            "alerts": alerts(whole),
            "days": calendar_days(whole),
            "first": SHOWN_AT_FIRST,
        },
    )


def verdict_sentence(view: Mapping[str, Any]) -> str:
    """The verdict and what downstream did, in one sentence."""
    if view["verdict"] == "FIT":
        return (
            f"{view['ds']} is fit to learn from: its {view['fit']:,} bags are published, and the "
            "run goes on to features and training."
        )
    stands = f"; its fit attempt {view['stands']}" if view["stands"] else ", and what was"
    return (
        f"{view['ds']} is blocked: nothing was trained or published from it{stands} published "
        "before still stands."
    )


def _totals(view: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of all files: kept and repeated ones, and the shares of those set aside and blamed."""
    read = view["read"]
    distinct = read - sum(file["duplicate"] for file in view["files"])
    return {
        "kept": sum(file["kept"] for file in view["files"]),
        "duplicate": sum(file["duplicate"] for file in view["files"]),
        "unfit_share": view["unfit"] / read if read else None,
        "blamed_share": view["blamed"] / distinct if distinct else None,
        "unknown_share": view["propensity"]["unknown"] / view["fit"] if view["fit"] else None,
    }


def _rate(policy: Mapping[str, Any]) -> float | None:
    return policy["clicks"] / policy["impressions"] if policy["impressions"] else None


def _share_bar(loss: Mapping[str, Any]) -> Any:
    return bar(loss["share"], 1.0, f"{loss['share']:.1%} of {loss['product_id']} lost")
