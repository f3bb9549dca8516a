"""Log lines bent in every way that a broken producer, disk or network bends them, from a seed."""

import json
import random
from collections.abc import Callable
from typing import Any

from tiny_logs import DS, click, impression

KINDS = ("impressions", "clicks", "conversions", "aggregates")
KEYS = ("impression_id", "shown_at", "clicked_at", "converted_at", "creative", "context", "value")
ODD_TEXT = (
    "",
    " ",
    "\u0000",
    "a\u0000b",
    "\ud800",
    "\U0001f9f5",
    "e\u0301",
    "\u202etxet",
    "\ufeff",
    "'; DROP TABLE bags; --",
    '"',
    "\\",
    "\u2028",
    "x" * 70_000,
)
ODD_TIMES = (
    "now",
    "today",
    "epoch",
    "infinity",
    "-infinity",
    f"{DS}T10:00:60Z",
    f"{DS}T24:00:00Z",
    f"{DS}T10:00:00+99:99",
    f"{DS}T10:00:00.123456789Z",
    f"{DS} 10:00:00 Europe/Paris",
    "9999-12-31T23:59:59Z",
    "0000-00-00",
    "294247-01-11T00:00:00Z",
    1773136800,
)
ODD_NUMBERS = ("1e999", "-0.0", "NaN", "Infinity", "1" * 400, "0.1e-400", "2E308", "007", "0x1F")
Bend = Callable[[random.Random, dict[str, Any]], bytes]


def base_row(kind: str, number: int) -> dict[str, Any]:
    """A row of the kind that is fit as it stands, its id among 300."""
    shown = impression(number % 300)
    if kind == "clicks":
        return click(number % 300)
    if kind == "conversions":
        return {"impression_id": shown["impression_id"], "converted_at": f"{DS}T12:00:00Z"}
    if kind == "aggregates":
        counts = {"impressions": 10, "clicks": 1, "conversions": 0, "value": 0.5}
        return {k: v for k, v in shown.items() if k not in ("impression_id", "user_id")} | counts
    return shown


def fuzzed_lines(kind: str, count: int, seed: int) -> list[bytes]:
    """`count` lines without their line ends; a tenth is fit, a twentieth repeats an earlier one."""
    rng = random.Random(f"{kind} {seed}")
    found: list[bytes] = []
    for number in range(count):
        row = base_row(kind, number)
        chance = rng.random()
        if chance < 0.1:
            line = as_json(row)
        elif chance < 0.15 and found:
            line = rng.choice(found)
        else:
            line = rng.choice(BENDS)(rng, row)
        found.append(line.replace(b"\n", b" "))
    return found


def as_json(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=True).encode()


def _odd_value(rng: random.Random, depth: int = 0) -> Any:
    plain = (None, True, 0, -1, 2**53 + 1, 2**64, -(2**130), 1.5, f"{DS}T10:00:00Z", "t0", "m1")
    chance = rng.random()
    if depth < 3 and chance < 0.2:
        keys = ("title", "image", "device", "hour", "", "$", "a.b", '"')
        return {rng.choice(keys): _odd_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    if depth < 3 and chance < 0.35:
        return [_odd_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return rng.choice((*plain, *ODD_TEXT, *ODD_TIMES))


def _wrong_value(rng: random.Random, row: dict[str, Any]) -> bytes:
    return as_json(row | {rng.choice(list(row)): _odd_value(rng)})


def _wrong_inside(rng: random.Random, row: dict[str, Any]) -> bytes:
    within = rng.choice(("creative", "context"))
    key = rng.choice(("title", "image", "device", "hour", "", "badge", "\u0000"))
    return as_json(row | {within: {**row.get(within, {}), key: _odd_value(rng)}})


def _odd_time(rng: random.Random, row: dict[str, Any]) -> bytes:
    timed = [key for key in row if key.endswith("_at")]
    return as_json(row | {rng.choice(timed): rng.choice(ODD_TIMES)})


def _odd_number(rng: random.Random, row: dict[str, Any]) -> bytes:
    key = rng.choice(("propensity", "value", "impressions", "clicks", "hour"))
    number = rng.choice(ODD_NUMBERS).encode()
    if key == "hour":
        row = row | {"context": {"device": "phone", "hour": "@"}}
    return as_json(row if key == "hour" else row | {key: "@"}).replace(b'"@"', number)


def _without_keys(rng: random.Random, row: dict[str, Any]) -> bytes:
    return as_json({key: value for key, value in row.items() if rng.random() < 0.6})


def _other_shape(rng: random.Random, row: dict[str, Any]) -> bytes:
    shapes: tuple[Any, ...] = ([row], [], {}, None, 7, "text", list(row.values()), {"row": row})
    return as_json(rng.choice(shapes))


def _twice_the_key(rng: random.Random, row: dict[str, Any]) -> bytes:
    key = rng.choice(list(row))
    return as_json({key: _odd_value(rng)})[:-1] + b", " + as_json(row)[1:]


def _torn(rng: random.Random, row: dict[str, Any]) -> bytes:
    line = as_json(row)
    return line[: rng.randrange(len(line))] if rng.random() < 0.5 else line[rng.randrange(9) :]


def _glued(rng: random.Random, row: dict[str, Any]) -> bytes:
    line = as_json(row)
    return line + rng.choice((b"", b",", b"\r", b"\x00", b" ")) + line


def _flipped(rng: random.Random, row: dict[str, Any]) -> bytes:
    line = bytearray(as_json(row))
    for _ in range(rng.randrange(1, 5)):
        line[rng.randrange(len(line))] = rng.randrange(256)
    return bytes(line)


def _other_encoding(rng: random.Random, row: dict[str, Any]) -> bytes:
    text = json.dumps(row | {"policy": "caf\u00e9 \u00fc"}, ensure_ascii=False)
    encoding = rng.choice(("latin-1", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp500"))
    return text.encode(encoding)


def _raw_unicode(rng: random.Random, row: dict[str, Any]) -> bytes:
    text = json.dumps(row | {rng.choice(list(row)): rng.choice(ODD_TEXT)}, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _deep(rng: random.Random, row: dict[str, Any]) -> bytes:
    levels = rng.choice((50, 900, 5000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    nested = opened * levels + b"1" + closed * rng.choice((levels, levels - 1))
    return as_json(row | {rng.choice(KEYS): "@"}).replace(b'"@"', nested)


def _noise(rng: random.Random, row: dict[str, Any]) -> bytes:
    return rng.randbytes(rng.randrange(1, 200))


def _blank(rng: random.Random, row: dict[str, Any]) -> bytes:
    return rng.choice((b"", b" ", b"\t\r", b"\x0b\x0c", b"\x00", b"\xc2\xa0", b"\xe2\x80\xa8"))


BENDS: tuple[Bend, ...] = (
    _wrong_value,
    _wrong_inside,
    _odd_time,
    _odd_number,
    _without_keys,
    _other_shape,
    _twice_the_key,
    _torn,
    _glued,
    _flipped,
    _other_encoding,
    _raw_unicode,
    _deep,
    _noise,
    _blank,
)
