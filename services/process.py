"""A program in the background that is known again by more than its process id.

A pid alone is reused. A process is ours while the pid has the start time that we wrote down, in
the same boot of the machine. What it leaves when it is killed hard (MLflow's web worker) is in
the session that it led and works below its folder. Linux only: all of this is read from /proc.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from components.errors import Failed
from services.records import read_record


@dataclass(frozen=True)
class Launch:
    """What to execute: arguments, the whole environment, and as whom (None: as oneself)."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    user: str | None = None


@dataclass(frozen=True)
class Process:
    """A started program: pid, start time in ticks since boot, boot id, working folder, ports."""

    pid: int
    started: int
    boot: str
    folder: str
    ports: dict[str, int]


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    started: int


def start(launch: Launch, folder: Path, log: Path, ports: Mapping[str, int]) -> Process:
    """The program started in a session of its own, its output appended to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            launch.arguments,
            cwd=folder,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **as_user(launch.user),
        )
    born = _stat(child.pid)
    child.returncode = 0  # it outlives us on purpose; else the collector warns of a lost child
    return Process(child.pid, born.started if born else 0, _boot(), str(folder), dict(ports))


def as_user(user: str | None) -> dict:
    """Arguments of subprocess that switch to a user and its group, for root only."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": ()}


def is_alive(process: Process) -> bool:
    """True while it runs; False for a pid that has passed to another program, and for a zombie."""
    found = _stat(process.pid)
    return (
        found is not None
        and found.state != "Z"
        and found.started == process.started
        and _boot() == process.boot
    )


def stop(process: Process, how: signal.Signals, deadline_s: float = 20.0) -> None:
    """The process and what it left behind are gone: asked with `how`, killed after the deadline.

    Failed where they belong to another user or survive being killed.
    """
    for find, ask in ((_leader, how), (_leftovers, signal.SIGTERM)):
        for sign, patience in ((ask, deadline_s), (signal.SIGKILL, 5.0)):
            _send(find(process), sign)
            if _wait_until(lambda find=find: not find(process), patience):
                break
        else:
            raise Failed(
                f"pid {find(process)} below {process.folder} is still there after being killed; "
                "look at it with `ps -o pid,stat,wchan,args -p`, then say `down` again"
            )


def _leader(process: Process) -> list[int]:
    return [process.pid] if is_alive(process) else []


def _leftovers(process: Process) -> list[int]:
    if _boot() != process.boot:
        return []
    below = Path(process.folder)
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdecimal())
    return [pid for pid in pids if pid != process.pid and _is_left(pid, process.pid, below)]


def _is_left(pid: int, session: int, below: Path) -> bool:
    found = _stat(pid)
    if found is None or found.session != session or found.state == "Z":
        return False
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(below)
    except OSError:
        return False


def _send(pids: list[int], sign: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise Failed(
                f"pid {pid} was started by another user and cannot be stopped by this one; "
                "say `down` as the user who said `up`"
            ) from error


def _wait_until(reached: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # the command in parentheses may hold spaces; state, ppid, pgrp, session follow it: proc(5)
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[3]), int(fields[19]))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def write(process: Process, file: Path) -> None:
    """The record of a process in a file, whole or not at all."""
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(process)))
    draft.replace(file)


def read(file: Path) -> Process | None:
    """The process recorded in a file, None where there is none."""
    remedy = "find the program with `ss -ltnp`, end it, and remove the file"
    return read_record(file, Process, "is not the record of a process", remedy)
