"""The ledger under many writers, dead writers and wrong clocks; two approvers at once."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.adapters.ledger import Ledger
from components.adapters.storage import open_storage
from components.doctor.checks import ledger_head
from components.errors import GencoError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def ledger_in(root: Path) -> Ledger:
    return Ledger(open_storage(str(root)), "shop")


def test_of_many_writers_at_once_none_is_lost(tmp_path: Path) -> None:
    def write(who: str) -> None:
        mine = ledger_in(tmp_path)
        for number in range(8):
            mine.append("approved", NOW, by=who, version=number)

    threads = [threading.Thread(target=write, args=(who,)) for who in ("anna", "ben", "cleo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = ledger_in(tmp_path).entries()
    assert [entry["number"] for entry in entries] == list(range(1, 25))
    assert {who: sum(e["by"] == who for e in entries) for who in ("anna", "ben", "cleo")} == {
        "anna": 8,
        "ben": 8,
        "cleo": 8,
    }
    assert ledger_in(tmp_path).lag() == 0


def test_a_head_that_a_dead_writer_left_behind_is_brought_forward(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.append("registered", NOW, version=1)
    head = tmp_path / "heads" / "shop.json"
    behind = head.read_bytes()
    ledger.append("judged", NOW, version=1)
    head.write_bytes(behind)
    assert ledger.lag() == 1
    assert any("lags" in one.sentence for one in ledger_head(ledger.entries(), ledger.lag()))
    ledger.append("approved", NOW, version=1)
    assert ledger.lag() == 0


def test_a_ledger_deleted_whole_is_found_by_its_head(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.append("registered", NOW, version=1)
    for file in (tmp_path / "ledger" / "shop").iterdir():
        file.unlink()
    with pytest.raises(GencoError, match="cut off"):
        ledger.entries()


def test_a_clock_that_goes_backwards_is_flagged_and_order_stays(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    ledger.append("registered", NOW, version=1)
    late = ledger.append("approved", NOW - timedelta(hours=3), version=1, by="anna")
    assert late["earlier_than"] == NOW.isoformat()
    assert [entry["kind"] for entry in ledger.entries()] == ["registered", "approved"]
    told = ledger_head(ledger.entries(), 0)
    assert [one.check for one in told if one.status == "note"] == ["clock"]
