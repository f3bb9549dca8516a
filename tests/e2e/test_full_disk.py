"""A disk that fills up at any moment: one sentence, nothing half published, and a run that goes on.

The file size limit of a process stands for a full disk where no small file system can be mounted.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_shop import DS, write_config, write_shop


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("full")
    write_shop(place, days=2, impressions=900, products=4)
    return place


def run(config: Path, until: str, largest: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    genco = str(Path(sys.executable).with_name("genco"))
    return subprocess.run(
        [genco, "run", "--ds", DS, "--config", str(config), "--json", "--until", until],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


def check_told(done: subprocess.CompletedProcess[str], store: Path) -> None:
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("genco:")]
    assert len(said) == 1, done.stderr
    assert "make room" in said[0]
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["kind"] == "FAILED"
    for manifest in store.glob("manifests/ds=*.json"):  # whole, and every file it lists is there
        for table in json.loads(manifest.read_text())["tables"].values():
            assert all((store / entry["path"]).is_file() for entry in table)


@pytest.mark.parametrize("largest", [40_000])
def test_a_run_without_room_says_so_and_goes_on_once_there_is(root: Path, largest: int) -> None:
    store = root / f"store{largest}"
    config = write_config(root, str(store))
    check_told(run(config, "validate_logs", largest), store)
    assert run(config, "validate_logs").returncode == 0
    assert (store / "manifests" / f"ds={DS}.json").is_file()


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="genco-small-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a small file system needs rights that are not here")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")
def test_a_store_on_a_disk_that_is_too_small_says_so(root: Path) -> None:
    with small_disk("200k") as disk:
        config = write_config(root, str(disk / "store"), f"work: {root}/work-small\n")
        check_told(run(config, "materialize_features"), disk / "store")
