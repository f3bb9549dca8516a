"""What of a day needs a person: derived from the data page's view, each with its runbook entry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from validation.pages.day_rows import day_ranges


@dataclass(frozen=True)
class Alert:
    """One thing to look at: how grave (a tone of the style), in words, and where to read on."""

    tone: Literal["fail", "insufficient"]
    name: str
    says: str
    anchor: str


_BY_SUBJECT = ("drift", "mean weight", "click-through", "conversion")


def alerts(view: Mapping[str, Any]) -> list[Alert]:
    """Every open alert of the day, those that block it first; empty where all is well."""
    found = [*_blocking(view), *_files(view), *_window(view), *_labels(view), *_unusual(view)]
    return sorted(found, key=lambda alert: alert.tone)


def _blocking(view: Mapping[str, Any]) -> Iterator[Alert]:
    if view["verdict"] != "FIT":
        count = len(view["reasons"])
        says = f"{view['ds']} was not used, for {count} reason{'s' * (count != 1)}; see the top."
        yield Alert("fail", "Day blocked", says, "blocked-day")
    elif view["blamed"]:
        says = f"{view['blamed']:,} of {view['read']:,} rows are unfit, within the limit."
        yield Alert("insufficient", "Rows set aside", says, "quarantine")
    for check in view["checks"]:
        if check["severity"] == "warn" and not check["success"]:
            says = (
                f'{check["unexpected"]:,} bags break "{check["says"]}"; that alone sets none aside.'
            )
            yield Alert("insufficient", f"Warned: {check['rule']}", says, "warned-rows")


def _files(view: Mapping[str, Any]) -> Iterator[Alert]:
    for file in view["files"]:
        if "unreadable" in file:
            yield Alert("fail", "Unreadable file", file["unreadable"], "unreadable-file")
    copies = [file["file"] for file in view["files"] if "copy_of" in file]
    if copies:
        says = f"{_listed(copies)}: a copy of another file, byte for byte; not counted again."
        yield Alert("insufficient", "Duplicate files", says, "duplicate-file")
    late = view.get("late")
    if late:
        says = f"{_listed(late['files'])}: came after attempt {late['since']} was judged; "
        yield Alert("insufficient", "Late files", says + "the day was made again.", "late-files")
    repeated = sum(file["duplicate"] for file in view["files"] if "copy_of" not in file)
    if repeated:
        says = f"{repeated:,} rows came more than once; each was counted once."
        yield Alert("insufficient", "Duplicate rows", says, "duplicate-rows")


def _window(view: Mapping[str, Any]) -> Iterator[Alert]:
    if view["missing"]:
        says = f"No logs for {day_ranges(view['missing'])}: the window is learned from without."
        yield Alert("insufficient", "Missing days", says, "missing-days")
    others = [
        d["ds"] for d in view["calendar"] if d["verdict"] == "BLOCKED" and d["ds"] != view["ds"]
    ]
    if others:
        says = f"{day_ranges(others)} blocked earlier: the window is learned from without."
        yield Alert("insufficient", "Blocked days in the window", says, "blocked-day")


def _labels(view: Mapping[str, Any]) -> Iterator[Alert]:
    unknown = view["propensity"]["unknown"]
    if unknown:
        says = f"{unknown:,} of {view['fit']:,} bags: no off-policy estimate rests on them."
        yield Alert("insufficient", "Unknown propensity", says, "unknown-propensity")


def _unusual(view: Mapping[str, Any]) -> Iterator[Alert]:
    for one in view.get("findings", []):
        if one["outcome"] == "warn":
            schema = one["check"] == "schema"
            name = f"{'Schema' if schema else 'Unusual'}: {one['subject' if schema else 'check']}"
            name += f" of {one['subject']}" if one["check"] in _BY_SUBJECT else ""
            anchor = "schema" if schema else "unusual-day"
            yield Alert("insufficient", name, f"{one['says']}.", anchor)


def _listed(names: list[str], most: int = 6) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
