"""A quarantined row as it came -> the same text with the offending fields in <mark>."""

import json
import re
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup, escape

FIELDS: dict[str, tuple[str, ...]] = {
    "day": ("shown_at",),
    "propensity": ("propensity",),
    "shown": ("creative",),
    "slot": ("creative",),
    "element": ("creative",),
    "allowed": ("creative",),
    "negative_clicks": ("clicks",),
    "clicks": ("clicks", "impressions"),
    "impressions": ("impressions",),
    "conversions": ("conversions",),
    "test": ("impression_id", "user_id", "product_id", "policy", "context"),
    "traffic": ("user_id",),
    "orphan": ("impression_id",),
    "unusable": ("impression_id",),
    "before": ("clicked_at", "converted_at"),
    "window": ("clicked_at", "converted_at"),
}

Span = tuple[int, int]
_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s,]*")
_COLON = re.compile(r"\s*:\s*")
# Control and direction characters could hide or reorder what the reader sees.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def visible(value: Any) -> Any:
    """The value with every invisible character of its texts written as \\uXXXX."""
    if isinstance(value, str):
        return _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", value)
    if isinstance(value, dict):
        return {visible(key): visible(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [visible(one) for one in value]
    return value


def mark_row(raw: str, rule: str, message: str) -> Markup:
    """The row's text, escaped; what the rule complains of is marked where it can be found.

    raw may be cut off or no JSON at all: what stands before the first fault is still found.
    """
    parts, at = [], 0
    for start, end in _merged(_spans(raw, rule, message)):
        parts += [escape(raw[at:start]), Markup("<mark>{}</mark>").format(raw[start:end])]
        at = end
    return Markup("").join([*parts, escape(raw[at:])])


def _spans(raw: str, rule: str, message: str) -> Iterator[Span]:
    entries = {key: (span, value) for key, span, value in _entries(raw, 0)}
    kind, _, column = rule.partition(".")
    wanted = (column,) if kind in ("type", "missing") else FIELDS.get(rule, ())
    if rule == "test":
        wanted = [field for field in wanted if f"; found {field}" in message]
    for field in wanted:
        if field in entries:
            span, value = entries[field]
            inner = {key: inside for key, inside, _ in _entries(raw, value)}
            found = [inner[name] for name in _named(rule, message) if name in inner]
            yield from found or [span]


def _named(rule: str, message: str) -> list[str]:
    """The slots that the message of a slot or element rule names."""
    if rule not in ("slot", "element"):
        return []
    listed = message.partition("; found ")[2].split(", ")
    return [one.partition("=")[0] for one in listed]


def _entries(raw: str, at: int) -> Iterator[tuple[str, Span, int]]:
    """(key, span of the entry, where its value starts) of the object at `at`, while it reads."""
    at = _skip(_BETWEEN, raw, at)
    if raw[at : at + 1] != "{":
        return
    at = _skip(_BETWEEN, raw, at + 1)
    while raw[at : at + 1] == '"':
        try:
            key, after = _DECODER.raw_decode(raw, at)
            value = _skip(_COLON, raw, after)
            _, end = _DECODER.raw_decode(raw, value)
        except (ValueError, RecursionError):
            return
        yield key, (at, end), value
        at = _skip(_BETWEEN, raw, end)


def _skip(pattern: re.Pattern[str], raw: str, at: int) -> int:
    found = pattern.match(raw, at)
    return found.end() if found else at


def _merged(spans: Iterator[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
