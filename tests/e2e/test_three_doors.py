"""One day through the in-process door and through KFP's local runner: the same files."""

import hashlib
import json
from pathlib import Path

import pytest
from small_shop import DS, write_config, write_shop

from pipelines import running

TOLD_BY_THE_CLOCK = (".html", "ledger")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("doors")
    write_shop(root)
    summaries = {}
    for runner in running.RUNNERS:
        config = write_config(root, str(root / runner))
        summaries[runner] = running.run(config, DS, None, runner)
    return root, summaries


def files_of(store: Path) -> dict[str, str]:
    """Digest of every file below the store that does not tell the time."""
    return {
        file.relative_to(store).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for part in ("days", "manifests", "catalogs")
        for file in sorted((store / part).rglob("*"))
        if file.is_file()
        and not file.name.startswith(".")
        and not any(word in file.as_posix() for word in TOLD_BY_THE_CLOCK)
    }


def test_the_same_day_through_both_doors_gives_the_same_files(doors) -> None:
    root, _ = doors
    local, kfp = files_of(root / "local"), files_of(root / "kfp")
    assert len(local) > 30
    assert sorted(local) == sorted(kfp)
    assert [path for path in local if local[path] != kfp[path]] == []


def test_both_doors_tell_the_same_story(doors) -> None:
    _, summaries = doors
    local, kfp = summaries["local"], summaries["kfp"]
    assert local.verdict in ("HOLD", "PROMOTE", "REJECT")
    assert (local.verdict, local.version, local.reasons) == (kfp.verdict, kfp.version, kfp.reasons)


def test_a_day_run_again_is_unchanged_and_makes_no_version(doors) -> None:
    root, summaries = doors
    before = files_of(root / "local")
    again = running.run(root / "local.yaml", DS, None, "local")
    assert again.verdict == "UNCHANGED"
    assert again.version == summaries["local"].version
    assert files_of(root / "local") == before


def test_every_row_of_every_file_is_accounted_for(doors) -> None:
    root, _ = doors
    for manifest in (root / "local" / "manifests").glob("ds=*.json"):
        for row in json.loads(manifest.read_text())["accounting"]:
            assert row["read"] == row["kept"] + row["duplicate"] + row["quarantined"], row
