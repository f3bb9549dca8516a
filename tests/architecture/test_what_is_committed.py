"""A clone holds plain files of ours, and nothing that a machine made or that points out of it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MADE = (".venv", "build", "data", "mlruns", "__pycache__", ".genco", ".pytest_cache", ".ruff_cache")
LARGEST = 2_000_000


@pytest.fixture(scope="module")
def committed() -> list[tuple[str, Path]]:
    """(mode, path) of every file that git knows."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    told = subprocess.run(
        ["git", "ls-files", "--stage", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line.split("\t", 1) for line in told.stdout.split("\0") if line]
    return [(mode.split()[0], Path(path)) for mode, path in lines]


def test_no_link_and_no_nested_repository_is_committed(committed: list[tuple[str, Path]]) -> None:
    assert len(committed) > 100
    assert [path for mode, path in committed if mode not in ("100644", "100755")] == []


def test_nothing_that_a_run_makes_is_committed(committed: list[tuple[str, Path]]) -> None:
    assert [
        path for _, path in committed if path.parts[0] in MADE or "__pycache__" in path.parts
    ] == []


def test_no_large_file_is_committed(committed: list[tuple[str, Path]]) -> None:
    sizes = {path: (ROOT / path).stat().st_size for _, path in committed if (ROOT / path).is_file()}
    assert {path: size for path, size in sizes.items() if size > LARGEST} == {}
