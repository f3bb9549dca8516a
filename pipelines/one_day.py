"""One day of a backfill in a process of its own: a job on stdin, its end as one JSON line.

The process ends with whoever started it: its stdin stays open meanwhile, and closes with them.
"""

import json
import os
import sys
import threading
from dataclasses import asdict
from typing import Any, TextIO

from components.errors import GencoError


def job_of(plan: str, ds: str, work: str, afresh: bool, again: bool) -> str:
    """The line that `main` reads: the plan with the day's own work folder; as local.run_day."""
    place = {**json.loads(plan)["place"], "work": work}
    told = json.dumps({**json.loads(plan), "place": place})
    return json.dumps({"plan": told, "ds": ds, "afresh": afresh, "again": again}) + "\n"


def done(line: str) -> dict[str, Any]:
    """The day's summary; an expected failure is {error, kind, exit_code}."""
    from pipelines import local

    job = json.loads(line)
    how = {"afresh": job["afresh"], "again": job["again"]}
    try:
        summary = local.run_day(job["plan"], job["ds"], None, lambda stage: None, **how)
    except GencoError as error:
        return {
            "error": str(error),
            "kind": type(error).__name__.upper(),
            "exit_code": error.exit_code,
        }
    return asdict(summary)


def _end_with(starter: TextIO) -> None:
    starter.read()
    os._exit(1)


def main() -> None:
    """Reads one job, does it, prints how it ended."""
    line = sys.stdin.readline()
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    print(json.dumps(done(line)), flush=True)
    os._exit(0)  # the watching thread holds stdin, which an ordinary exit would wait for


if __name__ == "__main__":
    main()
