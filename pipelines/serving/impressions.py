"""Answers as impressions (CONTRACT 1), in files that appear only when they are whole.

A file is written under a hidden name that readers skip, below its day's partition, and gets its
final name when it is full, old enough, or the day ends. A draft that a killed process left is
finished by the next one; its last line is dropped where it is cut.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from components.errors import Failed

ENDING = ".jsonl"


@dataclass(frozen=True)
class Rotation:
    """A file is closed after so many rows or seconds."""

    rows: int = 100_000
    seconds: float = 300.0


@dataclass
class _Draft:
    stream: IO[bytes]
    hidden: Path
    final: Path
    day: str
    began: datetime
    rows: int = 0


class ImpressionLog:
    """Impressions below <folder>/impressions/dt=D/; not for several threads at once."""

    def __init__(self, folder: Path, rotation: Rotation, writer: str) -> None:
        self._folder, self._rotation = folder / "impressions", rotation
        self._writer, self._number = writer, 0
        self._draft: _Draft | None = None
        self.finished = finish_drafts(self._folder)

    def write(self, rows: Sequence[Mapping[str, Any]], at: datetime) -> None:
        """The rows, shown at `at` (UTC), are in the operating system's hands."""
        self.tick(at)
        draft = self._draft or self._begin(at)
        told = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = [json.dumps({**row, "shown_at": told}, ensure_ascii=False) for row in rows]
        try:
            draft.stream.write(("\n".join(lines) + "\n").encode())
            draft.stream.flush()
        except OSError as error:
            raise Failed(
                f"cannot write {draft.hidden}: {error.strerror}; nothing is answered that is not "
                "logged: make room or fix the rights"
            ) from error
        draft.rows += len(lines)
        if draft.rows >= self._rotation.rows:
            self.close()

    def tick(self, at: datetime) -> None:
        """Closes the file where its day is over or it is old enough."""
        draft = self._draft
        if draft is None:
            return
        old = (at - draft.began).total_seconds() >= self._rotation.seconds
        if old or draft.day != at.date().isoformat():
            self.close()

    def close(self) -> None:
        """The file that is being written appears under its final name."""
        draft, self._draft = self._draft, None
        if draft is not None:
            _finish(draft.stream, draft.hidden, draft.final)

    def _begin(self, at: datetime) -> _Draft:
        day = at.date().isoformat()
        self._number += 1
        name = f"{at:%H%M%S}-{self._writer}-{self._number:04d}{ENDING}"
        folder = self._folder / f"dt={day}"
        hidden = folder / f".{name}.draft"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stream = hidden.open("xb")
        except OSError as error:
            raise Failed(
                f"cannot begin the log {hidden}: {error.strerror}; give a folder that may be "
                "written with --log-to"
            ) from error
        fcntl.flock(stream, fcntl.LOCK_EX)
        self._draft = _Draft(stream, hidden, folder / name, day, at)
        return self._draft


def _finish(stream: IO[bytes], hidden: Path, final: Path) -> None:
    stream.flush()
    os.fsync(stream.fileno())
    os.replace(hidden, final)
    stream.close()


def finish_drafts(folder: Path) -> list[Path]:
    """Files that were left behind by processes that are gone, now under their final names."""
    return [final for draft in sorted(folder.glob("dt=*/.*.draft")) for final in _taken_over(draft)]


def _taken_over(hidden: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError), hidden.open("r+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # its writer is alive
        whole = stream.read().rfind(b"\n") + 1
        stream.truncate(whole)
        if not whole:
            hidden.unlink()
            return
        final = hidden.with_name(hidden.name.removeprefix(".").removesuffix(".draft"))
        _finish(stream, hidden, final)
        yield final
