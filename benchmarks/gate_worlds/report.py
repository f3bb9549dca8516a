"""The power curve as plain values and as a table to read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.gate_worlds.candidates import BROKEN, GAINS
from benchmarks.gate_worlds.power import Judged
from benchmarks.gate_worlds.reigns import Reign
from benchmarks.gate_worlds.spending import Sequence as Spending

Z = 1.959964
VERDICTS = ("PROMOTE", "HOLD", "REJECT")
DECIDING = ("snips", "dr")


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share. Source: Wilson (1927)."""
    if not of:
        return 0.0, 1.0
    p, n = hits / of, of
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def share(hits: int, of: int) -> dict[str, float]:
    low, high = wilson(hits, of)
    return {"hits": hits, "of": of, "share": hits / of if of else 0.0, "low": low, "high": high}


def summary(
    found: dict[int, list[Judged]], reigns: dict[int, list[Reign]], spending: list[Spending]
) -> dict[str, Any]:
    """Everything that the benchmark measured, as JSON values."""
    return {
        "verdicts": {str(size): _verdicts(rows) for size, rows in found.items()},
        "coverage": {str(size): _coverage(rows) for size, rows in found.items()},
        "looks": {str(size): _looks(rows) for size, rows in reigns.items()},
        "spending": [asdict(one) for one in spending],
    }


def _verdicts(rows: list[Judged]) -> dict[str, Any]:
    kinds = {}
    for kind in dict.fromkeys(row.kind for row in rows):
        mine = [row for row in rows if row.kind == kind]
        counts = Counter(row.verdict for row in mine)
        gates = Counter(gate for row in mine for gate in row.holding)
        kinds[kind] = {word: share(counts[word], len(mine)) for word in VERDICTS}
        kinds[kind]["gates"] = {gate: n / len(mine) for gate, n in gates.most_common()}
    return kinds


def _coverage(rows: list[Judged]) -> dict[str, Any]:
    user = [row.by_user for row in rows if row.kind in GAINS]
    pairs = [(row.by_user, row.by_display) for row in rows if row.by_display]
    names = user[0] if user else {}
    return {
        name: {
            "by_user": share(sum(one[name] for one in user), len(user)),
            "by_user_same_logs": share(sum(one[name] for one, _ in pairs), len(pairs)),
            "by_display": share(sum(one[name] for _, one in pairs), len(pairs)),
        }
        for name in names
    }


def _looks(rows: list[Reign]) -> dict[str, Any]:
    spent = sum(row.spent is not None for row in rows)
    alone = sum(row.alone is not None for row in rows)
    return {"spent": share(spent, len(rows)), "alone": share(alone, len(rows))}


def markdown(told: dict[str, Any], looks: int) -> str:
    """The tables."""
    lines = ["### Verdicts at the first look", ""]
    lines += _table(
        ["displays", "challenger", "promoted", "held", "rejected", "gates that did not pass"],
        [
            [f"{int(size):,}", kind, *(_percent(one[word]) for word in VERDICTS), _gates(one)]
            for size, kinds in told["verdicts"].items()
            for kind, one in kinds.items()
        ],
    )
    lines += ["", "### Coverage of 95 % intervals of the difference", ""]
    lines += _table(
        ["displays", "estimator", "over users", "the same logs", "over single displays"],
        [
            [f"{int(size):,}", name, *(_percent(one[k]) for k in _COVERAGE)]
            for size, names in told["coverage"].items()
            for name, one in names.items()
        ],
    )
    lines += ["", f"### As good as the champion, promoted at all in {looks} daily looks", ""]
    lines += _table(
        ["displays", "level spent over looks", "each look as if alone"],
        [
            [f"{int(size):,}", _percent(one["spent"]), _percent(one["alone"])]
            for size, one in told["looks"].items()
        ],
    )
    lines += ["", "### Ways to spend 2.5 % (normal approximation)", ""]
    head = ["shares", "false in 20", "look 1", "look 2", "look 5", "look 20", "better, in 7 looks"]
    rows = [[str(v) if i == 0 else f"{100 * v:.1f} %" for i, v in enumerate(one.values())]
            for one in told["spending"]]  # fmt: skip
    return "\n".join([*lines, *_table(head, rows)])


_COVERAGE = ("by_user", "by_user_same_logs", "by_display")


def _percent(one: dict[str, float]) -> str:
    return f"{100 * one['share']:.1f} % ({100 * one['low']:.1f} to {100 * one['high']:.1f})"


def _gates(one: dict[str, Any]) -> str:
    return ", ".join(f"{gate} {100 * part:.0f} %" for gate, part in one["gates"].items())


def _table(head: Sequence[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows]]


def targets(told: dict[str, Any]) -> list[tuple[str, bool]]:
    """What the gate must reach, each with whether it did; without what was not measured."""
    verdicts, found = told["verdicts"], []
    same = _promoted(verdicts, ("as good",))
    if same["of"]:
        found.append((f"as good: {_percent(same)} promoted, at most 2.5 %", same["share"] <= 0.025))
    for size, one in told["looks"].items():
        said = f"as good over looks at {int(size):,}: {_percent(one['spent'])}, at most 2.5 %"
        found.append((said, one["spent"]["share"] <= 0.025))
    broken = _promoted(verdicts, BROKEN)
    said = f"broken: {broken['hits']} of {broken['of']} promoted, none"
    found.append((said, not broken["hits"]))
    largest = max(verdicts, key=int)
    better = _promoted({largest: verdicts[largest]}, ("+10 %",))
    if better["of"]:
        said = f"+10 % at {int(largest):,}: {_percent(better)} promoted, at least 80 %"
        found.append((said, better["share"] >= 0.8))
    for size, names in told["coverage"].items():
        if not names:
            continue
        user, lone = (
            share(*(sum(names[e][k][part] for e in DECIDING) for part in ("hits", "of")))
            for k in ("by_user", "by_display")
        )
        said = f"intervals that decide at {int(size):,} cover {_percent(user)}, 93 to 97 %"
        found.append((said, 0.93 <= user["share"] <= 0.97))
        said = f"over single displays at {int(size):,} {_percent(lone)}, short of 93 %"
        found.append((said, lone["share"] < 0.93))
    return found


def _promoted(verdicts: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, float]:
    counts = [one[kind]["PROMOTE"] for one in verdicts.values() for kind in kinds if kind in one]
    return share(sum(one["hits"] for one in counts), sum(one["of"] for one in counts))


def join(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Runs of other sizes or kinds as one; where two measured the same, the later one stands."""
    told: dict[str, Any] = {"verdicts": {}, "coverage": {}, "looks": {}, "spending": []}
    for part in parts:
        for size, kinds in part["verdicts"].items():
            told["verdicts"].setdefault(size, {}).update(kinds)
        for size, names in part["coverage"].items():
            told["coverage"].setdefault(size, {}).update(names)
        told["looks"].update({k: v for k, v in part["looks"].items() if v["spent"]["of"]})
        told["spending"] = part["spending"]
    return told
