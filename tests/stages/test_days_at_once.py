"""Days at once: what one learns from is its own, and of two runs of one day one publishes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_day import judge, unbalanced
from tiny_logs import DS, click, write_catalog, write_good_day, write_lines

from components.adapters.storage import Storage
from components.errors import Conflict
from components.manifests import change_manifest, read_manifest
from components.validate_logs import stage
from components.window import fit_bags, fit_days, read_window

NEXT = "2026-03-11"


def test_a_later_days_run_does_not_change_what_an_earlier_one_learns_from(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    write_good_day(tmp_path, NEXT)
    late = [click(n, DS, clicked_at=f"{DS}T10:{n:02d}:45Z") for n in (1, 2, 3)]
    write_lines(tmp_path, "clicks", NEXT, late, "late")
    first = judge(tmp_path, DS)
    day = first.arrived.day
    before = fit_days(day, read_window(day))
    files = [file.read_bytes() for file in fit_bags(day, before)]
    judge(tmp_path, NEXT)
    published = read_manifest(day.storage(), DS)
    assert published["attempt"] != first.manifest["attempt"]
    after = fit_days(day, read_window(day))
    assert after == before
    assert {one["attempt"] for one in after.values()} == {first.manifest["attempt"]}
    assert [file.read_bytes() for file in fit_bags(day, after)] == files


def test_of_two_runs_of_a_day_at_once_one_publishes_and_the_other_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_catalog(tmp_path)
    write_good_day(tmp_path)
    fakes = str(Path(__file__).resolve().parents[1] / "fakes")
    other = f"""
import sys; sys.path.insert(0, {fakes!r})
from pathlib import Path
from tiny_day import judge
judge(Path({str(tmp_path)!r}), quarantined_share=0.2)
"""

    def overtaken(storage: Storage, ds: str, change: Callable[..., dict[str, Any]]) -> object:
        """Another process runs the whole day between this one's look and its write."""

        def late(was: dict[str, Any] | None) -> dict[str, Any]:
            subprocess.run([sys.executable, "-c", other], check=True)
            return change(was)

        return change_manifest(storage, ds, late)

    monkeypatch.setattr(stage, "change_manifest", overtaken)
    with pytest.raises(Conflict, match="was written by another run while this one worked"):
        judge(tmp_path)
    monkeypatch.undo()
    place = tmp_path / "store/manifests" / f"ds={DS}.json"
    theirs = place.read_bytes()
    assert unbalanced(json.loads(theirs)) == []
    judge(tmp_path, quarantined_share=0.2)  # as the other did: nothing is left to do
    assert place.read_bytes() == theirs
