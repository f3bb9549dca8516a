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
    lags        dict        kind -> {window_hours, events, complete, points: [{hours, share}]}
                            (components/validate_logs/lags.py); kinds without events are absent
    maturity    dict        {clicks, conversions}: shares of displays whose window had closed
    calendar    [dict]      the last 90 days, this one last (components/validate_logs/history.py):
                            {ds, verdict, fit, unfit, failed, hours, alerts, data, expectations}
    missing     [str]       days of the window without logs
    stands      str|None    fit attempt of this day that was published earlier and stays, if blocked
    limit       float|None  share of rows read that may count against the day
    runbook     str         address of docs/runbook.md
    findings    [dict]      validation.sanity.findings.Finding as a dict
    drift       [dict]      validation.drift.fields.Drift as a dict, None for what is not known
    warnings    [str]       what is to be looked at, a sentence each
    late        dict|None   {since, files}: files that came after attempt `since` was judged
    bands       [pair|None] displays usual in each hour, None where that is not known
    prints      {rule: str} fingerprint of each rule of a bag
    place       str         folder of the page below the store, from which its links lead
    expectations str|None   Great Expectations' page of the day, below the store
    features    dict|None   what is known of the features (evaluate_candidate's feature facts)

Those from `stands` on may be absent. A key that is not listed, or another one that is missing, is a
ValueError. All text is escaped and its invisible characters are written out.
"""

from collections.abc import Mapping
from typing import Any

from validation.pages import charts
from validation.pages.alerts import alerts
from validation.pages.beyond_rows import by_section, drift_rows
from validation.pages.day_rows import (
    bag_checks,
    day_ranges,
    file_rows,
    kind_rows,
    quarantine_groups,
    reading_checks,
    usual_volume,
)
from validation.pages.history_rows import (
    alert_rows,
    calendar_days,
    closed_alerts,
    spark_lines,
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
    "lags",
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
    "warnings": [],
    "late": None,
    "bands": [],
    "prints": {},
    "place": "",
    "expectations": None,
    "features": None,
}
SHOWN_AT_FIRST = {"reasons": 3, "files": 12, "samples": 1, "warnings": 3}
KINDS = ("clicks", "conversions")


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
    sparks = spark_lines(whole)
    found = alerts(whole)
    failed = {group["rule"]: group["rows"] for group in whole["quarantine"]}
    return render(
        "data.html.j2",
        whole
        | {
            "sentence": verdict_sentence(whole),
            "totals": _totals(whole),
            "groups": quarantine_groups(whole),
            "file_rows": file_rows(whole["files"]),
            "kind_rows": kind_rows(whole["files"]),
            "volume": charts.hour_columns(whole["hours"], whole["bands"]),
            "odd_hours": charts.outside_hours(whole["hours"], whole["bands"]),
            "usual": usual_volume(whole),
            "bag_checks": bag_checks(whole["checks"], sparks, whole["prints"]),
            "reading_checks": reading_checks(failed, sparks),
            "loss_rows": [loss | {"bar": _share_bar(loss)} for loss in whole["losses"]],
            "lag_rows": [
                _lag(kind, whole["lags"][kind]) for kind in KINDS if kind in whole["lags"]
            ],
            "policy_rows": [policy | {"rate": _rate(policy)} for policy in whole["policies"]],
            "missing_days": day_ranges(whole["missing"]),
            "findings": by_section(whole["findings"]),
            "drift_rows": drift_rows(whole["drift"], whole["findings"]),
            "alerts": alert_rows(whole, found),
            "closed": closed_alerts(whole, found),
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


def _lag(kind: str, lag: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "curve": charts.lag_curve(lag, kind),
        "unit": charts.lag_unit(lag["window_hours"])[0],
        "window": charts.duration(lag["window_hours"]),
        "reached": charts.lag_quantiles(lag),
        "events": lag["events"],
        "complete": lag["complete"],
    }


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
