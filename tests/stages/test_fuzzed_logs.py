"""Ten thousand bent log lines: no crash, every one accounted for, and no fit one is lost."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fuzzed_lines import KINDS, as_json, base_row, fuzzed_lines
from tiny_day import TinyDay, judge, unbalanced
from tiny_logs import DS, impression, write_catalog, write_lines

LINES_A_FILE = 1250
SEEDS = (1, 2)
GOOD = 300  # displays that the bent lines' ids refer to


@dataclass(frozen=True)
class Fuzzed:
    """The judged day and the lines of each fuzzed file, by its path below the logs."""

    day: TinyDay
    sent: dict[str, list[bytes]]

    def rows(self) -> Iterator[tuple[str, int, bytes]]:
        """(file, row number from 1, line) of every line that is not blank."""
        for file, lines in self.sent.items():
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield file, number, line


def _write(root: Path, kind: str, seed: int) -> tuple[str, list[bytes]]:
    """One fuzzed file; plain text of the first seed, gzip of the second, and a torn last line."""
    lines = [*fuzzed_lines(kind, LINES_A_FILE - 1, seed), as_json(base_row(kind, 7))[:40]]
    path = f"{kind}/dt={DS}/fuzz-{seed}.jsonl" + (".gz" if seed % 2 == 0 else "")
    target = root / "logs" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    content = b"\n".join(lines)
    target.write_bytes(gzip.compress(content, mtime=0) if path.endswith(".gz") else content)
    return path, lines


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Fuzzed:
    root = tmp_path_factory.mktemp("fuzzed")
    write_catalog(root)
    write_lines(root, "impressions", DS, [impression(n) for n in range(GOOD)], "a-good")
    sent = dict(_write(root, kind, seed) for kind in KINDS for seed in SEEDS)
    return Fuzzed(judge(root, quarantined_share=1, user_limit=10_000), sent)


def test_ten_thousand_bent_lines_are_read_and_each_file_adds_up(fuzzed: Fuzzed) -> None:
    assert sum(len(lines) for lines in fuzzed.sent.values()) == 10_000
    assert unbalanced(fuzzed.day.manifest) == []
    for file, lines in fuzzed.sent.items():
        assert fuzzed.day.account(file)[0] == sum(bool(line.strip()) for line in lines), file


def test_fuzz_reaches_every_way_a_row_may_go(fuzzed: Fuzzed) -> None:
    for kind in KINDS:
        accounts = [fuzzed.day.account(f"{kind}/dt={DS}/fuzz-{seed}") for seed in SEEDS]
        _, kept, duplicate, quarantined = map(sum, zip(*accounts, strict=True))
        assert quarantined > 500, kind
        assert kept > 0 or kind == "impressions", kind  # each of their ids has a good copy
        assert duplicate > 50 or kind == "aggregates", kind  # counts have no id to repeat


def test_a_quarantined_line_is_there_once_as_it_came_with_its_reasons(fuzzed: Fuzzed) -> None:
    sent = {(file, number): line for file, number, line in fuzzed.rows()}
    rows = fuzzed.day.rows("quarantine")
    places = [(row["source_file"], row["row"]) for row in rows]
    assert len(places) == len(set(places)) > 4000
    for row, place in zip(rows, places, strict=True):
        assert row["raw"] == sent[place].rstrip(b"\r\n").decode("utf-8", errors="replace")
        assert row["reasons"], place
        assert all(reason["rule"] and reason["message"] for reason in row["reasons"])


def test_no_line_that_is_no_json_object_is_kept(fuzzed: Fuzzed) -> None:
    refused = {(row["source_file"], row["row"]) for row in fuzzed.day.rows("quarantine")}
    broken = [(file, n) for file, n, line in fuzzed.rows() if not _could_be_object(line)]
    assert len(broken) > 1000
    assert set(broken) <= refused


def _could_be_object(line: bytes) -> bool:
    """Python's parser is laxer than JSON (NaN) and stricter in depth; a hit may still be unfit."""
    try:
        return isinstance(json.loads(line.decode()), dict)
    except RecursionError:
        return True
    except ValueError:
        return False


def test_every_good_display_is_kept_beside_the_bent_ones(fuzzed: Fuzzed) -> None:
    kept = {bag["bag_id"] for bag in fuzzed.day.rows("bags")}
    assert {f"{DS}-i{n}" for n in range(GOOD)} <= kept


def test_what_is_kept_holds_no_value_outside_the_contract(fuzzed: Fuzzed) -> None:
    for bag in fuzzed.day.rows("bags"):
        assert bag["ds"] == DS == bag["shown_at"].date().isoformat()
        assert bag["propensity"] is None or 0 < bag["propensity"] <= 1
        assert 0 <= bag["clicks"] <= bag["impressions"]
        assert bag["conversions"] >= 0
        assert abs(bag["value"]) < float("inf")
        assert {one["slot"] for one in bag["creative"]} <= {"title", "image"}


def test_a_time_at_the_end_of_the_calendar_is_one_unfit_row_and_no_crash(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    far = impression(3, impression_id="far", shown_at="294247-01-10 00:00:00 America/New_York")
    write_lines(tmp_path, "impressions", DS, [*(impression(n) for n in range(3)), far])
    day = judge(tmp_path, quarantined_share=1)
    assert day.account("impressions") == (4, 3, 0, 1)
