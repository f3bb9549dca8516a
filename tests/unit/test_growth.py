"""What a day's growth makes of measured sizes: straight lines stay straight, kept sizes stay kept."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.growth import Cost, paper, read_kept, slope, table

SIZES = (1_000_000, 2_000_000)


def straight(size: int) -> Cost:
    """5 s and 1 GiB fixed, 36 s and 1 GiB a million, for a stage of the day and one of the window."""
    stages = {name: 5 + 36e-6 * size for name in ("ingest_logs", "train_reward")}
    return Cost(stages, 1 + 1e-6 * size)


def test_a_straight_line_is_carried_on_over_the_day_or_the_window() -> None:
    told = {size: straight(size) for size in SIZES}
    lines = {line.split()[0]: line.split() for line in paper(told).splitlines()}
    assert float(lines["ingest_logs"][1]) == pytest.approx(1.0, abs=0.05)  # 100 million of one day
    assert float(lines["train_reward"][1]) == pytest.approx(28.0, abs=0.05)  # and of 28
    assert lines["train_reward"][2] == "2,800.0"
    assert table(told).splitlines()[1].split() == ["ingest_logs", "41.0", "77.0", "36.0"]


def test_what_shrinks_costs_nothing_more() -> None:
    assert slope(SIZES, (3.0, 2.0)) == 0.0


def test_sizes_measured_before_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    assert read_kept(None) == read_kept(file) == {}
    told = {size: straight(size) for size in SIZES}
    file.write_text(json.dumps({size: asdict(cost) for size, cost in told.items()}))
    assert read_kept(file) == told
