"""`genco dq`: verdict, accounting, findings and quarantined rows of a day as judged last."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.adapters.storage import open_storage
from components.errors import WrongUse
from components.ingest_logs.release import read_releases
from components.manifests import fetch_table, read_judged
from components.plan import check_ds
from pipelines.config import load_config
from pipelines.running import absolute
from validation.contract import BAG_RULES, reading_rules
from validation.pages.charts import lag_quantiles

REPORTED = (
    "ds",
    "verdict",
    "reasons",
    "warnings",
    "accounting",
    "late",
    "failed",
    "rule_set",
    "attempt",
    "losses",
    "findings",
    "lags",
    "pages",
)


def report(file: Path, ds: str) -> dict[str, Any]:
    """Verdict, reasons and warnings, accounting of every file, rows that broke each rule, products
    by share lost, findings, and how late events come."""
    _, manifest = open_judged(file, ds)
    told = {key: manifest[key] for key in REPORTED if key in manifest}
    if "lags" in told:
        kept = ("window_hours", "events", "complete")
        told["lags"] = {
            kind: {key: lag[key] for key in kept} | {"within": dict(lag_quantiles(lag))}
            for kind, lag in told["lags"].items()
        }
    return told


def listing(file: Path, ds: str | None) -> dict[str, Any]:
    """Days with quarantined rows: rows by reason and by file, share of clicks lost, releases."""
    config = absolute(load_config(file))
    storage = open_storage(config.store, config.endpoint_url)
    judged = sorted(
        stored.path.rsplit("ds=", 1)[-1].removesuffix(".json")
        for stored in storage.listing("manifests/judged")
    )
    days = judged if ds is None else [check_ds(ds)]
    rows = [_day_row(storage, one, _judged(storage, config.store, one)) for one in days]
    return {"days": [row for row in rows if row["rows"] or row["releases"]]}


def _judged(storage: Any, store: str, ds: str) -> dict[str, Any]:
    manifest = read_judged(storage, ds)
    if manifest is None:
        raise WrongUse(f"ds={ds} was never judged in {store}; run that day first")
    return manifest


def _day_row(storage: Any, ds: str, manifest: dict[str, Any]) -> dict[str, Any]:
    rows = chosen_rows(storage, manifest, None, None)
    reasons = Counter(rule for row in rows for rule in {r["rule"] for r in row["reasons"]})
    clicks = [a for a in manifest["accounting"] if a["file"].startswith("clicks/")]
    distinct = sum(a["read"] - a["duplicate"] for a in clicks)
    lost = sum(a["quarantined"] for a in clicks)
    return {
        "ds": ds,
        "verdict": manifest["verdict"],
        "rows": len(rows),
        "reasons": dict(reasons.most_common()),
        "files": dict(Counter(row["source_file"] for row in rows).most_common()),
        "clicks_lost": lost / distinct if distinct else None,
        "releases": [
            {key: value for key, value in one.to_dict().items() if key != "rows"}
            | {"rows": len(one.rows)}
            for one in read_releases(storage, ds)
        ],
    }


def show(
    file: Path, ds: str, rule: str | None, limit: int, source: str | None, out: Path | None
) -> dict[str, Any]:
    """Quarantined rows as they came, with every reason; the first `limit` of them.

    source: only rows of this file. out: every chosen row as it came, a line each, to be repaired.
    """
    storage, manifest = open_judged(file, ds)
    chosen = chosen_rows(storage, manifest, rule, source)
    if out is not None:
        out.write_text("".join(f"{row['raw'] or ''}\n" for row in chosen))
    return {"ds": ds, "rows": len(chosen), "quarantine": chosen[:limit]}


def chosen_rows(
    storage: Any, manifest: dict[str, Any], rule: str | None, source: str | None
) -> list[dict[str, Any]]:
    """Quarantined rows of one rule and one file (None: of all), in order of file and row.

    WrongUse names the rules that exist where there is none of that name.
    """
    if rule is not None:
        _check_rule(rule)
    rows: list[dict[str, Any]] = []
    for local in fetch_table(storage, manifest, "quarantine"):
        rows += pq.ParquetFile(local).read().to_pylist()
    known = {entry["file"] for entry in manifest["accounting"]}
    if source is not None and source not in known:
        raise WrongUse(
            f"--file {source} is no file of ds={manifest['ds']}; genco dq report names them"
        )
    return [
        row
        for row in rows
        if (rule is None or rule in [reason["rule"] for reason in row["reasons"]])
        and source in (None, row["source_file"])
    ]


def _check_rule(rule: str) -> None:
    known = [*(one.id for one in BAG_RULES), *reading_rules()]
    if rule not in known:
        raise WrongUse(f"--rule {rule} is no rule; the rules are {', '.join(known)}")


def open_judged(file: Path, ds: str) -> tuple[Any, dict[str, Any]]:
    """The store and the manifest of the attempt of ds that was judged last."""
    config = absolute(load_config(file))
    storage = open_storage(config.store, config.endpoint_url)
    return storage, _judged(storage, config.store, check_ds(ds))


def words(told: dict[str, Any]) -> str:
    """The same for a person, a line a file, row or finding."""
    if "days" in told:
        return "\n".join(_day_words(day) for day in told["days"]) or "no day has quarantined rows"
    return _rows_words(told) if "quarantine" in told else _report_words(told)


def _day_words(day: dict[str, Any]) -> str:
    share = "no clicks" if day["clicks_lost"] is None else f"{day['clicks_lost']:.1%} of clicks"
    lines = [f"ds={day['ds']} {day['verdict']}: {day['rows']:,} rows in quarantine, {share} lost"]
    lines += [f"  {rows:>9,} {rule}" for rule, rows in day["reasons"].items()]
    lines += [f"  {rows:>9,} {file}" for file, rows in day["files"].items()]
    lines += [
        f"  released by {one['by']} at {one['at']}: {one['rows']:,} rows as {one['file']}"
        f"{', ' + one['waived'] + ' waived' if one['waived'] else ''}; {one['reason']}"
        for one in day["releases"]
    ]
    return "\n".join(lines)


def _rows_words(told: dict[str, Any]) -> str:
    lines = [f"{told['rows']} rows in quarantine of ds={told['ds']}"]
    for row in told["quarantine"]:
        reasons = "; ".join(f"{r['rule']}: {r['message']}" for r in row["reasons"])
        where = f"{row['source_file']} row {row['row']}"
        lines.append(f"{where}: {reasons} [rules {row['rule_set']}]\n    {row['raw']}")
    return "\n".join(lines)


def _report_words(told: dict[str, Any]) -> str:
    head = (
        f"ds={told['ds']}: {told['verdict']} (attempt {told['attempt']}, rules {told['rule_set']})"
    )
    lines = [head, *(f"  - {reason}" for reason in told["reasons"])]
    lines += [f"  ! {warning}" for warning in told.get("warnings", [])]
    lines.append(f"{'read':>10} {'kept':>10} {'duplicate':>10} {'quarantined':>12}  file")
    for row in told["accounting"]:
        lines.append(
            f"{row['read']:>10,} {row['kept']:>10,} {row['duplicate']:>10,} "
            f"{row['quarantined']:>12,}  {row['file']}"
        )
    lines += [f"late: {file}" for file in told.get("late", {}).get("files", [])]
    if told.get("failed"):
        lines.append(f"{'rows':>10}  rule that they break")
    lines += [f"{rows:>10,}  {rule}" for rule, rows in told.get("failed", {}).items()]
    if told.get("losses"):
        lines.append(f"{'lost':>10} {'of':>10} {'share':>10}  product (what is learned is biased)")
    for row in told.get("losses", []):
        lines.append(
            f"{row['lost']:>10,} {row['rows']:>10,} {row['share']:>10.1%}  {row['product_id']}"
        )
    if told.get("findings"):
        lines.append(f"{'outcome':<13} beyond the rows (these warn, they do not block)")
    lines += [f"{one['outcome']:<13} {one['says']}" for one in told.get("findings", [])]
    lines += [_lag_words(kind, lag) for kind, lag in told.get("lags", {}).items()]
    return "\n".join(lines)


def _lag_words(kind: str, lag: dict[str, Any]) -> str:
    within = ", ".join(f"{share:.0%} within {time}" for share, time in lag["within"].items())
    come = "" if lag["complete"] is None else f"; {lag['complete']:.0%} of this day's have come"
    return f"{kind:<13} {within}{come}"
