"""The sealed bundle asked in a process of its own, as an ad server would load it.

Times differ from run to run, so a version is asked once: what was found lies beside its decision.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from components.adapters.registry import Version
from components.day import Day, to_json
from components.errors import Failed
from components.training_set import fetch_folder
from model.bundle import BadBundle, load_bundle
from model.golden import answers
from validation.gate.evidence import Serving
from validation.gate.trees import from_tree

SECONDS = 300
TOLD = "serving-v{number}.json"


def serving_of(day: Day, version: Version) -> Serving:
    """What the version's bundle answered, asked now or when it was first judged."""
    storage = day.storage()
    path = day.path("gate_promotion", TOLD.format(number=version.number))
    if not storage.exists(path):
        storage.write(path, to_json(ask(day, version)))
    return from_tree(Serving, json.loads(storage.read(path)), "serving")


def ask(day: Day, version: Version) -> dict[str, Any]:
    """The fields of Serving as they are now; keeps nothing."""
    with day.scratch("serving") as scratch:
        folder = fetch_folder(day, version.bundle, scratch / "bundle")
        try:
            here = answers(load_bundle(folder))
        except (BadBundle, ValueError) as error:
            return {"fault": str(error)}
        return compared(here, folder)


def compared(here: list[list[float]], folder: Path) -> dict[str, Any]:
    """The fields of Serving: what another process says, beside the answers of this one.

    Raises Failed where it says nothing in time, since that is no property of the bundle.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "model.golden", str(folder)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired as slow:
        raise Failed(
            f"the sealed bundle {folder.name} gave no answer within {SECONDS} s in a process of its "
            "own; the machine may be too busy: run the day again, it goes on from here"
        ) from slow
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"fault": said[-1]}
    told = json.loads(done.stdout.strip().splitlines()[-1])
    there = told.pop("answers")
    return {**told, "answered": float(len(there)), "difference": _difference(here, there)}


def _difference(here: list[list[float]], there: list[list[float]]) -> float:
    if [len(row) for row in here] != [len(row) for row in there]:
        return 1.0
    pairs = zip(here, there, strict=True)
    return max((float(np.abs(np.subtract(a, b)).max()) for a, b in pairs if a), default=0.0)
