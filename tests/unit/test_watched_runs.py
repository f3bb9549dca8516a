"""A watched day's log is read whole, however its writes fall between two looks at the file."""

import json
from pathlib import Path

import pytest
from watched_runs import Run

LINES = [json.dumps({"at": f"10:{n:02d}", "event": "complete", "stage": f"s{n}"}) for n in range(4)]
TEXT = "\n".join([*LINES[:2], "a library's word", *LINES[2:], ""])


class Writing:
    """A process that writes its next piece whenever it is asked whether it lives, the last dying."""

    def __init__(self, log: Path, size: int) -> None:
        self.log, self.left = log, [TEXT[at : at + size] for at in range(0, len(TEXT), size)]

    def is_alive(self) -> bool:
        if not self.left:
            return False
        with self.log.open("a") as stream:
            stream.write(self.left.pop(0))
        return bool(self.left)


@pytest.mark.parametrize("size", [1, 7, 60, 10_000])
def test_no_line_is_lost_that_comes_in_pieces_or_with_the_end(tmp_path: Path, size: int) -> None:
    log = tmp_path / "log"
    log.touch()
    told = list(Run(Writing(log, size), log).events(patience=20))
    assert told == [json.loads(line) for line in LINES]
