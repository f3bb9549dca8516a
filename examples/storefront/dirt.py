"""The dirt of real logs, written beside the clean rows, and counted so that tests can compare.

Each kind of dirt is a number of rows; `planted` says how many were written of each.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from examples.storefront.writing import dumps, row_lines, write_lines, write_table

PER_KIND = 6
BOT_DISPLAYS = 400


def write_dirt(
    root: Path, ds: str, clean: pa.Table, clicks: pa.Table, rng: np.random.Generator
) -> dict[str, int]:
    """Writes bent copies of the day's rows; returns how many of each kind."""
    need = PER_KIND * 9
    picked = rng.choice(len(clean), size=min(need, len(clean)), replace=False)
    rows = row_lines(clean.take(pa.array(np.sort(picked))))
    parts = [rows[i::9] for i in range(9)]
    bent: list[str] = []
    planted: dict[str, int] = {}
    for kind, bend, chosen in zip(_BENT, _BENT.values(), parts, strict=False):
        planted[kind] = len(chosen)
        for number, row in enumerate(chosen):
            changed = {**row, "impression_id": f"{row['impression_id']}-{kind}-{number}"}
            bent.append(bend(changed))
    planted["duplicate id"] = len(parts[8])
    bent += [dumps(row) for row in parts[8]]
    bots = _bots(rows[0], ds)
    planted["bot"] = len(bots)
    write_lines(root, "impressions", ds, bent + bots, "part-9-edge")
    again = clean.slice(0, max(len(clean) // 50, 1))
    for name in ("part-7-sent", "part-8-sent-again"):
        write_table(root, "impressions", ds, again, name)
    planted["repeated file"] = 2 * len(again)
    planted |= _bent_clicks(root, ds, clean, clicks)
    return planted


def _malformed(row: dict[str, Any]) -> str:
    return dumps(row)[:-9]


def _with(**changes: Any) -> Any:
    return lambda row: dumps({**row, **changes})


def _unknown_slot(row: dict[str, Any]) -> str:
    return dumps({**row, "creative": {**row["creative"], "banner": "b-1"}})


def _unknown_element(row: dict[str, Any]) -> str:
    return dumps({**row, "creative": {**row["creative"], "title": "title-of-another-shop"}})


def _text_hour(row: dict[str, Any]) -> str:
    return dumps({**row, "context": {**row["context"], "hour": "noon"}})


_BENT: dict[str, Any] = {
    "malformed": _malformed,
    "unknown slot": _unknown_slot,
    "unknown element": _unknown_element,
    "propensity as text": _with(propensity="0.01"),
    "hour as text": _text_hour,
    "propensity of 0": _with(propensity=0.0),
    "propensity of 1.5": _with(propensity=1.5),
    "shown on another day": _with(shown_at="2020-01-01T00:00:00Z"),
}


def _bots(row: dict[str, Any], ds: str) -> list[str]:
    """A user whom nobody could show so many cards."""
    day = ds.replace("-", "")
    return [
        dumps({**row, "impression_id": f"{day}-bot-{n}", "user_id": f"bot-{day}"})
        for n in range(BOT_DISPLAYS)
    ]


def split_late(clicks: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The day's clicks but for the last few, and these, which are delivered a day late."""
    cut = max(len(clicks) - PER_KIND, 0)
    return clicks.slice(0, cut), clicks.slice(cut)


def _bent_clicks(root: Path, ds: str, clean: pa.Table, clicks: pa.Table) -> dict[str, int]:
    """Clicks without impressions, before them, repeated; a repeated file."""
    orphans = [
        dumps({"impression_id": f"nobody-{ds}-{n}", "clicked_at": f"{ds}T12:00:00Z"})
        for n in range(PER_KIND)
    ]
    early = [
        dumps({"impression_id": row["impression_id"], "clicked_at": f"{ds}T00:00:00Z"})
        for row in clean.slice(len(clean) - PER_KIND, PER_KIND).to_pylist()
    ]
    repeated = [
        dumps({**row, "clicked_at": row["clicked_at"].isoformat() + "Z"})
        for row in clicks.slice(0, PER_KIND).to_pylist()
    ]
    write_lines(root, "clicks", ds, orphans + early + repeated, "part-9-edge")
    write_table(root, "clicks", ds, clicks, "part-8-again")
    return {
        "click without impression": len(orphans),
        "click before impression": len(early),
        "repeated click": len(repeated),
        "repeated click file": len(clicks),
    }
