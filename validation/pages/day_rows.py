"""Rows of the data page's tables: rules, files, days of the window."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from validation.contract import BAG_RULES, reading_rules
from validation.pages.marking import mark_row

SEVERITY = {
    "error": "counts against the day",
    "exclude": "set aside without blame",
    "warn": "kept, warned of",
}


def rule_words(rule: str) -> str:
    """What a rule asks of a row; nothing for a rule that is not known here."""
    bags = {known.id: known.says for known in BAG_RULES}
    return bags.get(rule) or reading_rules().get(rule, ("", ""))[0]


def bag_checks(
    checks: Sequence[Mapping[str, Any]], sparks: Mapping[str, Markup], prints: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Every check of the bags with its outcome, spark line and fingerprint, as in the rule set."""
    return [
        {**check, "severity": SEVERITY[check["severity"]], "outcome": _outcome(check)}
        | {"spark": sparks.get(check["rule"]), "print": prints.get(check["rule"])}
        for check in checks
    ]


def _outcome(check: Mapping[str, Any]) -> tuple[str, str]:
    if not check["unexpected"]:
        return "pass", "none failed"
    if check["severity"] == "error" and not check["success"]:
        return "fail", "over the limit"
    if check["severity"] == "warn" and check["success"]:
        return "pass", "within its share"
    return "insufficient", "warned" if check["severity"] == "warn" else "set aside"


def reading_checks(counts: Mapping[str, int], sparks: Mapping[str, Markup]) -> list[dict[str, Any]]:
    """Every check of reading and attribution with its failed rows, most first."""
    rows = []
    for rule, (says, severity) in reading_rules().items():
        failed = counts.get(rule, 0)
        outcome = ("insufficient", "set aside") if failed else ("pass", "none failed")
        rows.append(
            {"rule": rule, "says": says, "severity": SEVERITY[severity], "unexpected": failed}
            | {"outcome": outcome, "spark": sparks.get(rule), "print": None}
        )
    return sorted(rows, key=lambda row: -row["unexpected"])


def quarantine_groups(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rules that set rows aside: those that count against the day first, then by rows."""
    groups = [
        {
            "rule": group["rule"],
            "rows": group["rows"],
            "share": group["rows"] / view["read"] if view["read"] else None,
            "says": rule_words(group["rule"]),
            "blamed": group["rule"] in view["refused"],
            "samples": [_sample(group["rule"], sample) for sample in group["samples"]],
            "command": f"genco dq show --ds {view['ds']} --config FILE --rule {group['rule']}",
            "release": (
                f"genco dq release --ds {view['ds']} --config FILE --rule {group['rule']} "
                "--reason WHY --fixed rows.jsonl"
            ),
        }
        for group in view["quarantine"]
    ]
    return sorted(groups, key=lambda group: (not group["blamed"], -group["rows"], group["rule"]))


def _sample(rule: str, sample: Mapping[str, Any]) -> dict[str, Any]:
    raw = sample["raw"] or ""
    cut = sample.get("length", len(raw)) > len(raw)
    return {**sample, "raw": mark_row(raw, rule, sample["message"]) + Markup("…" if cut else "")}


def file_rows(files: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Files with their kind and what is to be said of them, those in trouble first."""
    rows = [{**file, "kind": file["file"].split("/")[0], "notes": _notes(file)} for file in files]
    return sorted(rows, key=_trouble)


def _trouble(row: Mapping[str, Any]) -> tuple[bool, bool, bool, str]:
    """Unreadable files sort first, then copies and empty ones, then those with rows set aside."""
    return "unreadable" not in row, not row["notes"], not row["quarantined"], row["file"]


def _notes(file: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(tone, sentence) of a file that could not be read, repeats another, or holds nothing."""
    if "unreadable" in file:
        return [("fail", f"Unreadable: {file['unreadable']}")]
    if "copy_of" in file:
        return [("insufficient", f"Copy of {file['copy_of']}, byte for byte; not counted twice")]
    notes = [] if file["read"] else [("insufficient", "Empty")]
    if file.get("late"):
        many = "event" if file["late"] == 1 else "events"
        says = f"{file['late']:,} {many} of displays of earlier days, counted there"
        notes.append(("", says))
    return notes


def kind_rows(files: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The files' numbers added up for each kind of log."""
    kinds: dict[str, dict[str, Any]] = {}
    for file in files:
        kind = file["file"].split("/")[0]
        row = kinds.setdefault(kind, {"kind": kind, "files": 0, **dict.fromkeys(_COUNTS, 0)})
        row["files"] += 1
        for name in _COUNTS:
            row[name] += file[name]
    return list(kinds.values())


_COUNTS = ("read", "kept", "duplicate", "quarantined")


def usual_volume(view: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """(days, least, most) fit bags on the window's earlier same weekdays; None without any."""
    weekday = date.fromisoformat(view["ds"]).weekday()
    sizes = [
        day["fit"]
        for day in view["calendar"]
        if day["ds"] < view["ds"]
        and day["verdict"] == "FIT"
        and date.fromisoformat(day["ds"]).weekday() == weekday
    ]
    return (len(sizes), min(sizes), max(sizes)) if sizes else None


def day_ranges(days: Sequence[str]) -> str:
    """Days in order, neighbours drawn together: 2026-03-01 to 2026-03-04, 2026-03-09."""
    runs: list[list[date]] = []
    for day in sorted(date.fromisoformat(one) for one in days):
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
