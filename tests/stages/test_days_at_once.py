"""What a day learns from does not depend on which other day was published meanwhile."""

from pathlib import Path

from tiny_day import judge
from tiny_logs import DS, click, write_catalog, write_good_day, write_lines

from components.manifests import read_manifest
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
