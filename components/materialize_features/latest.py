"""The newest row of each key of a view's Parquet file, as SQL of DuckDB."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.adapters.feature_store import FeatureDoor
from components.sql import name, parquet, quote

CREATED, EVENT = "created_timestamp", "event_timestamp"


@dataclass(frozen=True)
class Interval:
    """Values of events from start to end, both included, in UTC."""

    start: datetime
    end: datetime

    def says(self) -> list[str]:
        return [moment.astimezone(UTC).isoformat() for moment in (self.start, self.end)]


def join_keys(door: FeatureDoor, view: str) -> list[str]:
    return [column.name for column in door.view(view).entity_columns]


def columns(door: FeatureDoor, view: str) -> list[str]:
    """What is written of a view: join keys, features, timestamps."""
    features = [one.name for one in door.view(view).features]
    return [*join_keys(door, view), *features, EVENT, CREATED]


def newest(door: FeatureDoor, view: str, source: Path, interval: Interval) -> str:
    """SQL: the newest row of each key in the interval; of one instant, the one created last."""
    keys = ", ".join(map(name, join_keys(door, view)))
    start, end = interval.says()
    return f"""
    SELECT {", ".join(map(name, columns(door, view)))} FROM {parquet(source)}
    WHERE {EVENT} BETWEEN TIMESTAMPTZ {quote(start)} AND TIMESTAMPTZ {quote(end)}
    QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {EVENT} DESC, {CREATED} DESC) = 1
    """
