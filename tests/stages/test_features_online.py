"""Online values are what Feast's own materialize would write, whatever was killed or lost between."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.adapters.feature_store import FeatureDoor
from components.adapters.storage import open_storage
from components.errors import Failed
from components.materialize_features.history import PRODUCT_FEATURES
from components.materialize_features.latest import Interval
from components.materialize_features.online import Online, materialize
from components.materialize_features.parity import Parity, parity

VIEW = "product_history"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = [f"p{number:04d}" for number in range(700)]
INSTANT = pa.timestamp("us", tz="UTC")


def at(day: float) -> datetime:
    return FIRST + timedelta(days=day)


def until(day: float) -> Interval:
    return Interval(at(0), at(day))


def write_table(folder: Path, seed: int = 0, days: int = 6) -> None:
    """Rows of some of the keys on some days, with corrections: created later, another value."""
    rng = np.random.default_rng(seed)
    rows = [
        (key, day, late)
        for key in KEYS
        for day in range(1, days + 1)
        for late in (0, 1)
        if rng.random() < (0.6, 0.2)[late]
    ]
    columns: dict[str, Any] = {"product_id": pa.array([row[0] for row in rows])}
    for feature in PRODUCT_FEATURES:
        columns[feature] = pa.array(rng.normal(size=len(rows)), pa.float32())
    columns["event_timestamp"] = pa.array([at(row[1]) for row in rows], INSTANT)
    columns["created_timestamp"] = pa.array([at(row[1] + row[2]) for row in rows], INSTANT)
    pq.write_table(pa.table(columns), folder / f"{VIEW}.parquet")


def opened(root: Path) -> Online:
    """Feast on `root`, its ledger beside, chunks of 100 keys."""
    door = FeatureDoor(root / "feast", "online")
    write_table(root / "feast")
    door.apply()
    scratch = root / "scratch"
    scratch.mkdir(exist_ok=True)
    return Online(door, open_storage(str(root / "store")), scratch, chunk=100)


def values(door: FeatureDoor) -> list[dict[str, Any]]:
    return door.online({"product_id": KEYS}, [f"{VIEW}:{f}" for f in PRODUCT_FEATURES]).to_pylist()


@pytest.fixture
def online(tmp_path: Path) -> Online:
    return opened(tmp_path)


def test_chunks_write_what_feasts_own_materialize_writes(online: Online, tmp_path: Path) -> None:
    told = materialize(online, VIEW, until(4))
    assert (told.keys, told.chunks) == (told.written, -(-told.keys // 100))
    theirs = opened(tmp_path / "theirs").door
    theirs._store.materialize(at(0), at(4), feature_views=[VIEW])
    assert values(online.door) == values(theirs)
    assert sum(row[PRODUCT_FEATURES[0]] is not None for row in values(theirs)) == told.keys > 600


def test_done_work_is_not_done_again_and_lost_work_is(online: Online) -> None:
    whole = materialize(online, VIEW, until(4))
    again = materialize(online, VIEW, until(4))
    assert (again.written, again.says) == (0, "online already, and equal on a sample")
    before = values(online.door)
    (online.door.folder / "online_store.db").unlink()  # the ledger still says that all is done
    fresh = opened(online.door.folder.parent)
    assert materialize(fresh, VIEW, until(4)).written == whole.keys
    assert values(fresh.door) == before


def test_an_older_interval_never_replaces_newer_values(online: Online) -> None:
    materialize(online, VIEW, until(6))
    newest = values(online.door)
    told = materialize(online, VIEW, until(3))
    assert told.written == 0
    assert "written already" in told.says
    assert values(online.door) == newest
    table = online.door.folder / f"{VIEW}.parquet"
    older = parity(online.door, VIEW, table, until(3))
    assert older.newer > 40  # not compared
    assert older.equal == older.sampled


def test_values_that_someone_else_wrote_are_written_again(online: Online) -> None:
    materialize(online, VIEW, until(6))
    before = values(online.door)
    rows = pq.read_table(online.door.folder / f"{VIEW}.parquet")
    wrong = pa.array([9.0] * len(rows), pa.float32())
    place = rows.schema.get_field_index(PRODUCT_FEATURES[0])
    online.door.write_online(VIEW, rows.set_column(place, PRODUCT_FEATURES[0], wrong))
    assert values(online.door) != before
    materialize(online, VIEW, until(6))
    assert values(online.door) == before


def test_a_corrected_table_replaces_the_values_of_the_same_days(online: Online) -> None:
    materialize(online, VIEW, until(6))
    table = online.door.folder / f"{VIEW}.parquet"
    write_table(online.door.folder, seed=1)
    differs = parity(online.door, VIEW, table, until(6))
    assert differs.equal < differs.sampled
    materialize(online, VIEW, until(6))
    assert parity(online.door, VIEW, table, until(6)) == Parity(50, 50, 0)


CHILD = """
import os, sys
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
from test_features_online import VIEW, opened, until, materialize
materialize(opened(Path(sys.argv[1])), VIEW, until(4), lambda said: print(said, flush=True))
"""


def test_after_kill_9_the_rest_is_written_and_what_was_done_stands(tmp_path: Path) -> None:
    code = CHILD.format(tests=str(Path(__file__).parent), root=os.getcwd())
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        if "chunk 3" in line:
            os.kill(child.pid, signal.SIGKILL)
            break
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    after = opened(tmp_path)
    told = materialize(after, VIEW, until(4))
    assert 3 <= told.resumed < told.chunks
    assert 0 < told.written < told.keys
    theirs = opened(tmp_path / "theirs").door
    theirs._store.materialize(at(0), at(4), feature_views=[VIEW])
    assert values(after.door) == values(theirs)


def test_a_view_without_a_table_is_refused_with_what_to_do(online: Online) -> None:
    with pytest.raises(Failed, match=r"cell_history\.parquet is not there; run the day"):
        materialize(online, "cell_history", until(4))
