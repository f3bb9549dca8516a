"""A registry in a SQLite file is there whole or not at all, whoever is killed while making it."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from components.adapters.registry import Registry

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from components.adapters.registry import Registry

shutil.copyfile = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # all tables are made by now
Registry(f"sqlite:///{sys.argv[1]}/mlflow.db", "shop", Path(sys.argv[1]) / "artifacts")
"""


def _opened(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder}/mlflow.db", "shop", folder / "artifacts")


def test_a_process_killed_while_it_makes_the_tables_leaves_no_half_registry(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)], timeout=120, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()
    assert _opened(tmp_path).versions() == []


def test_a_registry_that_is_there_is_kept(tmp_path: Path) -> None:
    _opened(tmp_path).register("bundles/one", {"genco.fingerprint": "f"}, {}, {})
    assert [version.bundle for version in _opened(tmp_path).versions()] == [""]
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM model_versions").fetchone() == (1,)
