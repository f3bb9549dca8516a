"""Are online values what the offline tables say? Asked of a sample of keys of a view."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.adapters.feature_store import FeatureDoor
from components.materialize_features.latest import EVENT, Interval, join_keys, newest

SAMPLE = 50
ROUNDING = 1e-5  # of a feature's value


@dataclass(frozen=True)
class Parity:
    """Of a view: keys sampled, those equal online, and those left out as newer online."""

    sampled: int
    equal: int
    newer: int


def parity(door: FeatureDoor, view: str, source: Path, interval: Interval) -> Parity:
    """Compares the newest offline values of the interval with the online ones, by key.

    A key whose online event is later than the interval is not compared: a later day wrote it.
    """
    import duckdb

    keys = join_keys(door, view)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        rows = database.execute(
            f"SELECT * FROM ({newest(door, view, source, interval)}) "
            f"ORDER BY hash({', '.join(keys)}), {', '.join(keys)} LIMIT {SAMPLE}"
        ).to_arrow_table()
    if not len(rows):
        return Parity(0, 0, 0)
    features = [one.name for one in door.view(view).features]
    served = door.online(
        {key: rows[key].to_pylist() for key in keys}, [f"{view}:{one}" for one in features]
    )
    newer, equal = 0, 0
    for offline, online in zip(rows.to_pylist(), served.to_pylist(), strict=True):
        written, found = int(offline[EVENT].timestamp()), online[f"{features[0]}__ts"]
        newer += found > written
        equal += found == written and all(_same(offline[f], online[f]) for f in features)
    return Parity(len(rows) - newer, equal, newer)


def _same(offline: Any, online: Any) -> bool:
    if isinstance(offline, float) and isinstance(online, float):
        return math.isclose(offline, online, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return offline == online
