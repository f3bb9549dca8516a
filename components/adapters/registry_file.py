"""MLflow's SQLite file, there whole or not at all.

MLflow makes its tables one after another and cannot go on from half of them, so a process killed
meanwhile would leave a registry that nobody can open again. The tables are therefore made in a
draft, which gets its name once it is whole.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

SQLITE = "sqlite:///"


def prepare_file(tracking_uri: str) -> None:
    """The SQLite file of the URI has every table of MLflow's; other URIs are left alone.

    Of several processes at once the first one's file stays.
    """
    if not tracking_uri.startswith(SQLITE):
        return
    file = Path(tracking_uri.removeprefix(SQLITE))
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        return
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as folder:
        made, whole = Path(folder) / "made.db", Path(folder) / "whole.db"
        MlflowClient(tracking_uri=f"{SQLITE}{made}", registry_uri=f"{SQLITE}{made}")
        shutil.copyfile(made, whole)  # MLflow keeps connections to the file that it made
        with suppress(FileExistsError):
            os.link(whole, file)
