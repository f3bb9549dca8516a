"""`genco backfill`: the days from..to that are not published yet, oldest first.

Each day runs in a process and a work folder of its own (Feast's files and checkpoints are not
shared between days), all by one plan. What a killed backfill published is skipped by the next.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from components.adapters.clock import now
from components.adapters.ledger import Ledger
from components.adapters.signing import VARIABLE, open_signer
from components.adapters.storage import Storage, open_storage
from components.day import Day
from components.errors import WrongUse
from components.manifests import read_manifest
from components.plan import check_ds
from components.register_version.stage import open_registry
from pipelines.accelerators import check_here
from pipelines.config import Config, load_config
from pipelines.environment import ROOT
from pipelines.one_day import job_of
from pipelines.running import absolute, acting_person, make_plan, tracking_uri, work_folder

FORCED = "forced"
SKIPPED, FAILED = "SKIPPED", "FAILED"
EXIT = {"PROMOTE": 0, "UNCHANGED": 0, SKIPPED: 0, "HOLD": 3, "REJECT": 4, "BLOCKED": 4}
RACES = 8  # times that a day which lost a race to another is tried again
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """How a day ended; version and reason are those of its run, or of what was published."""

    ds: str
    state: str
    version: int | None
    reason: str
    seconds: float
    forced: bool = False

    @property
    def exit_code(self) -> int:
        return EXIT.get(self.state, 1)


@dataclass(frozen=True)
class Order:
    """What every day's process is told, and where they lie."""

    plan: str
    work: Path
    storage: Storage
    forced: frozenset[str]
    watch: Watch


def days_between(first: str, last: str, today: str) -> list[str]:
    """The days first..last, oldest first; WrongUse where they are in the future or reversed."""
    begin, end = (date.fromisoformat(check_ds(ds)) for ds in (first, last))
    if begin > end:
        raise WrongUse(f"--from {first} is after --to {last}; expected the older day first")
    if last > today:
        raise WrongUse(f"--to {last} is in the future (today is {today}); its logs can't be whole")
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]


def published(storage: Storage, ds: str) -> dict[str, Any] | None:
    """What the day's run came to, where it was judged and its policy listed; else None."""
    manifest = read_manifest(storage, ds) or {}
    return manifest.get("run") if "policy" in manifest else None


def backfill(
    file: Path,
    first: str,
    last: str,
    at_most: int,
    forced: Sequence[str],
    watch: Watch,
    today: str | None = None,
) -> list[Ended]:
    """How each day ended, oldest first; at most `at_most` days at once."""
    days = days_between(first, last, today or now().date().isoformat())
    strangers = sorted(set(forced) - set(days))
    if strangers:
        raise WrongUse(f"--force {', '.join(strangers)} is not among {first}..{last}")
    config = absolute(load_config(file))
    check_here(config)
    storage = open_storage(config.store, config.endpoint_url)
    _prepare(config, storage)
    _record(config, storage, [ds for ds in days if ds in forced])
    order = Order(make_plan(config), work_folder(config), storage, frozenset(forced), watch)
    pool = ThreadPoolExecutor(max_workers=at_most)
    try:
        return list(pool.map(lambda ds: _end(order, ds), days))
    finally:
        pool.shutdown(cancel_futures=True)  # where we are interrupted no further day begins


def worst(ended: Sequence[Ended]) -> int:
    """The exit code of the whole: 1 where a day failed, else 4, else 3, else 0."""
    codes = {one.exit_code for one in ended}
    return next((code for code in (1, 2, 4, 3) if code in codes), 0)


def _prepare(config: Config, storage: Storage) -> None:
    """What days at once would race for: MLflow's database, its experiment, a key of our own."""
    work = work_folder(config)
    place = Day(ds="", store=config.store, endpoint=config.endpoint_url, work=str(work))
    open_registry(place, config.name, tracking_uri(config)).prepare()
    open_signer(storage, work)


def _record(config: Config, storage: Storage, forced: list[str]) -> None:
    if forced:
        who = acting_person(config).name
        Ledger(storage, config.name).append(FORCED, now(), by=who, days=forced)


def _end(order: Order, ds: str) -> Ended:
    force = ds in order.forced
    was = published(order.storage, ds)
    if was is not None and not force:
        order.watch(f"ds={ds}: skipped, published as version {was['version']} ({was['verdict']})")
        said = f"published before, judged {was['verdict']}; --force {ds} judges it again"
        return Ended(ds, SKIPPED, was["version"], said, 0.0)
    order.watch(f"ds={ds}: begins")
    began = time.perf_counter()
    for left in reversed(range(RACES + 1)):
        told = _run(order, ds, force, again=left > 0)
        if told.get("kind") != "CONFLICT" or not left:
            break
        order.watch(f"ds={ds}: lost a race, runs again")
    ended = _ended(ds, told, round(time.perf_counter() - began, 1), force)
    order.watch(f"ds={ds}: {ended.state} after {ended.seconds} s")
    return ended


def _ended(ds: str, told: dict[str, Any], seconds: float, force: bool) -> Ended:
    if "error" in told:
        state = "BLOCKED" if told.get("exit_code") == 4 else FAILED
        return Ended(ds, state, None, told["error"], seconds, force)
    reason = told["reasons"][0] if told["reasons"] else ""
    return Ended(ds, told["verdict"] or FAILED, told["version"], reason, seconds, force)


def _run(order: Order, ds: str, force: bool, again: bool) -> dict[str, Any]:
    work = order.work / "backfill" / f"ds={ds}"
    job = job_of(order.plan, ds, str(_own_folder(order.work, work)), force, again)
    with (work / "log.txt").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "pipelines.one_day"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
        )
        said = _converse(child, job)
    return _last(said, child.returncode, work)


def _converse(child: subprocess.Popen[str], job: str) -> list[str]:
    """The lines that the process said; its stdin is closed only once it has ended."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(job)
        child.stdin.flush()
        return child.stdout.readlines()
    except BrokenPipeError:
        return []
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.wait()


def _last(said: list[str], code: int, work: Path) -> dict[str, Any]:
    try:
        return json.loads(said[-1])
    except (IndexError, ValueError):
        why = f"its process ended with {code} before it said how ({work / 'log.txt'} may tell)"
        return {"error": f"{why}; run the backfill again, which goes on there", "exit_code": 1}


def _own_folder(work: Path, own: Path) -> Path:
    """The day's own work folder; it signs with the same local key as every other run."""
    own.mkdir(parents=True, exist_ok=True)
    key, link = work / "signing.pem", own / "signing.pem"
    if not os.environ.get(VARIABLE) and key.exists() and not link.exists():
        os.link(key, link)
    return own


def to_dict(ended: Sequence[Ended]) -> dict[str, Any]:
    """The table as JSON."""
    days = [{**asdict(one), "exit_code": one.exit_code} for one in ended]
    return {"days": days, "exit_code": worst(ended)}


def words(ended: Sequence[Ended]) -> str:
    """The table for a person, a line a day."""
    lines = [f"{'day':<11} {'ended':<10} {'version':>7} {'seconds':>8}  reason"]
    for one in ended:
        version = "" if one.version is None else str(one.version)
        state = f"{one.state}{'*' if one.forced else ''}"
        lines.append(f"{one.ds:<11} {state:<10} {version:>7} {one.seconds:>8.1f}  {one.reason}")
    if any(one.forced for one in ended):
        lines.append("* forced; recorded in the ledger")
    return "\n".join(lines)
