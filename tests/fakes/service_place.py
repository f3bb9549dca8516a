"""Real services at a root and on ports of their own, ended with the block that asked for them."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from own_ports import free_ports

from services.ports import variable

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {"redis": "redis-server", "postgres": "postgresql", "mlflow": "postgresql"}
NAMES = ("s3", "postgres", "redis", "mlflow")


@dataclass(frozen=True)
class Place:
    """A root with its ports, spoken to as a person does: through the command line."""

    root: Path
    ports: dict[str, int]
    names: tuple[str, ...]

    def say(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        moved = {variable(name): str(port) for name, port in self.ports.items()}
        own = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "MLFLOW_"))}
        return subprocess.run(
            [sys.executable, "-m", "services", *words, "--root", str(self.root)],
            cwd=REPOSITORY,
            env=own | moved | more,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    def up(self) -> str:
        done = self.say("up", "--only", ",".join(self.names))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        lines = self.say("env").stdout.splitlines()
        return dict(shlex.split(line)[1].split("=", 1) for line in lines)

    def pids(self) -> dict[str, int]:
        files = (self.root / "processes").glob("*.json")
        return {file.stem: json.loads(file.read_text())["pid"] for file in files}

    def working_here(self) -> list[int]:
        """Every process of the machine that works below the root."""
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
        return [pid for pid in pids if self._folder_of(pid).is_relative_to(self.root)]

    @staticmethod
    def _folder_of(pid: int) -> Path:
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            return Path("/gone")


def is_installed(name: str) -> bool:
    if name == "redis":
        return shutil.which("redis-server") is not None
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return name == "s3" or any(debian) or shutil.which("postgres") is not None


def require(place: Place, name: str) -> None:
    if name not in place.names:
        pytest.skip(f"{name} is not installed: apt-get install {PACKAGES[name]}")


@contextmanager
def started(names: tuple[str, ...] = NAMES) -> Iterator[Place]:
    """Everything of `names` that can be up, below a folder that user postgres may pass."""
    folder = Path(tempfile.mkdtemp(prefix="genco-services-"))
    folder.chmod(0o755)
    here = Place(folder / "root", free_ports(), tuple(filter(is_installed, names)))
    try:
        here.up()
        yield here
    finally:
        done = here.say("down")
        assert done.returncode == 0, done.stderr
        assert here.working_here() == []
        shutil.rmtree(folder)
