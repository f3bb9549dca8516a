"""What the loop found: regret and share of the distance closed, with intervals over shops."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from examples.loop.play import Match, Track

OURS = "GenCO"
# Student's t, 97.5 %, by degrees of freedom from 1.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_MANY = 1.96


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high): Student's 95 % interval over shops; bounds are nan for a single one."""
    known = np.asarray(values, np.float64)
    mean, free = float(known.mean()), len(known) - 1
    if free < 1:
        return mean, float("nan"), float("nan")
    t = _T[free - 1] if free <= len(_T) else _MANY
    half = t * float(known.std(ddof=1)) / len(known) ** 0.5
    return mean, mean - half, mean + half


def lost(match: Match, track: Track) -> np.ndarray:
    """(days,) regret so far: clicks lost against the best, a thousand displays a day."""
    return 1000 * np.cumsum(match.best - track.value)


def closed(match: Match, track: Track) -> np.ndarray:
    """(days,) share of the distance from logging to the best possible that is closed."""
    return (track.value - match.logging) / (match.best - match.logging)


def facts(matches: Sequence[Match]) -> dict[str, Any]:
    """Everything the loop found, as JSON: by policy mean, low and high over shops."""
    policies = {}
    ours = [lost(match, track)[-1] for match, track in tracks_of(matches, OURS)]
    for name in names_of(matches):
        own = tracks_of(matches, name)
        regret = [float(lost(match, track)[-1]) for match, track in own]
        policies[name] = {
            "regret": interval(regret),
            "more_regret_than_ours": interval([a - b for a, b in zip(regret, ours, strict=True)]),
            "closed_last_day": interval([float(closed(m, t)[-1]) for m, t in own]),
            "closed_all_days": interval([_overall(m, t) for m, t in own]),
            "seconds": float(np.sum([track.seconds for _, track in own])),
        }
    return {
        "shops": [match.seed for match in matches],
        "days": len(matches[0].best),
        "displays_a_day": matches[0].displays,
        "policies": policies,
    }


def _overall(match: Match, track: Track) -> float:
    return float((track.value - match.logging).sum() / (match.best - match.logging).sum())


def names_of(matches: Sequence[Match]) -> list[str]:
    """The policies, the least regret first."""
    names = [track.name for track in matches[0].tracks]
    total = {n: np.mean([lost(m, t)[-1] for m, t in tracks_of(matches, n)]) for n in names}
    return sorted(names, key=lambda name: float(total[name]))


def tracks_of(matches: Sequence[Match], name: str) -> list[tuple[Match, Track]]:
    """(match, track) of this policy in every shop."""
    return [(m, track) for m in matches for track in m.tracks if track.name == name]


def table(found: Mapping[str, Any]) -> str:
    """The facts as lines for a person."""
    shops, days = len(found["shops"]), found["days"]
    lines = [
        f"{shops} shops, {days} days of {found['displays_a_day']:,} displays after a first day "
        "shown by the logging policy; mean and 95 % interval over shops",
        "regret: clicks lost against the best possible, for a thousand displays a day, all days",
        "closed: share of the distance from the logging policy to the best possible",
        "",
        f"| policy | regret | more than {OURS} | closed on the last day | closed over all days |",
        "|---|---|---|---|---|",
    ]
    for name, own in found["policies"].items():
        cells = [
            _cell(own["regret"], 1),
            "" if name == OURS else _cell(own["more_regret_than_ours"], 1),
            _cell(own["closed_last_day"], 3),
            _cell(own["closed_all_days"], 3),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float], digits: int) -> str:
    mean, low, high = values
    if not np.isfinite(low):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def write_matches(file: Path, matches: Sequence[Match]) -> None:
    """The days of every shop, from which tables and plots can be made again."""
    rows = [
        {
            "seed": match.seed,
            "displays": match.displays,
            "logging": match.logging.tolist(),
            "best": match.best.tolist(),
            "tracks": [
                {"name": t.name, "value": t.value.tolist(), "seconds": t.seconds}
                for t in match.tracks
            ],
        }
        for match in matches
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows) + "\n")


def read_matches(files: Sequence[Path]) -> list[Match]:
    """What `write_matches` wrote, several files one after the other."""
    found = []
    for row in (row for file in files for row in json.loads(file.read_text())):
        tracks = tuple(Track(t["name"], np.array(t["value"]), t["seconds"]) for t in row["tracks"])
        logging, best = np.array(row["logging"]), np.array(row["best"])
        found.append(Match(row["seed"], row["displays"], tracks, logging, best))
    return found
