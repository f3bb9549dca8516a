"""Impressions of the server: whole files only, whatever ends it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.serving.impressions import ImpressionLog, Rotation

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def rows_of(folder: Path) -> list[str]:
    files = sorted(folder.glob("impressions/dt=*/*.jsonl"))
    return [json.loads(line)["impression_id"] for f in files for line in f.read_text().splitlines()]


def test_a_file_is_there_once_it_is_full_old_or_of_yesterday(tmp_path: Path) -> None:
    log = ImpressionLog(tmp_path, Rotation(rows=2, seconds=60), "w")
    log.write([{"impression_id": "a"}], NOON)
    assert rows_of(tmp_path) == []
    log.write([{"impression_id": "b"}], NOON)
    assert rows_of(tmp_path) == ["a", "b"]
    log.write([{"impression_id": "c"}], NOON)
    log.tick(NOON + timedelta(seconds=61))
    assert rows_of(tmp_path) == ["a", "b", "c"]
    log.write([{"impression_id": "d"}], NOON.replace(hour=23))
    log.write([{"impression_id": "e"}], NOON + timedelta(days=1))
    log.close()
    assert rows_of(tmp_path) == ["a", "b", "c", "d", "e"]
    days = {file.parent.name for file in tmp_path.glob("impressions/dt=*/*.jsonl")}
    assert days == {"dt=2026-11-22", "dt=2026-11-23"}


def test_what_a_killed_server_left_is_finished_and_its_cut_line_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "impressions" / "dt=2026-11-22"
    folder.mkdir(parents=True)
    (folder / ".x.jsonl.draft").write_bytes(b'{"impression_id": "a"}\n{"impression_id": "b')
    (folder / ".empty.jsonl.draft").write_bytes(b'{"impr')
    log = ImpressionLog(tmp_path, Rotation(), "w")
    assert [file.name for file in log.finished] == ["x.jsonl"]
    assert rows_of(tmp_path) == ["a"]
    assert not list(folder.glob(".*"))


def test_a_draft_that_is_still_written_is_left_to_its_writer(tmp_path: Path) -> None:
    first = ImpressionLog(tmp_path, Rotation(), "one")
    first.write([{"impression_id": "a"}], NOON)
    second = ImpressionLog(tmp_path, Rotation(), "two")
    assert second.finished == []
    first.write([{"impression_id": "b"}], NOON)
    first.close()
    assert rows_of(tmp_path) == ["a", "b"]
