"""A file that a command is to write and can't: one sentence, no traceback, in every command."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from components.errors import Failed
from pipelines.cli import of_the_machine

GENCO = str(Path(sys.executable).with_name("genco"))


def genco(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([GENCO, *words], capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert json.loads(done.stdout.splitlines()[-1])["kind"] == "FAILED"
    return line


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "shop"
    said = told(genco("simulate", "--out", str(out), "--days", "1", "--json"))
    assert said.startswith(f"genco: cannot use {tmp_path}/file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a full disk on Linux")
def test_a_full_disk_below_out_is_told(tmp_path: Path) -> None:
    from pipelines.tables import write_table

    with pytest.raises(OSError) as caught:  # noqa: PT011 (whatever Arrow makes of it)
        write_table(pa.table({"x": [1]}), Path("/dev/full"))
    assert "make room" in str(of_the_machine(caught.value))


def test_what_is_no_fault_of_the_machine_stays_a_bug() -> None:
    assert of_the_machine(ValueError("a bug")) is None
    assert of_the_machine(OSError("without a file")) is None
    assert isinstance(of_the_machine(PermissionError(13, "Permission denied", "x")), Failed)
