"""`python -m services up | down | status | env`: the real services on this machine's loopback."""

import argparse
import shlex
import sys
import time
from pathlib import Path

from components.errors import Failed, GencoError
from services import running

ROOT = Path(__file__).resolve().parents[1] / "data" / "services"
SAYINGS = {
    "up": "start them in the background, and wait until they are well",
    "down": "stop those that `up` started below the same root",
    "status": "a table; exit 0 only where all are well",
    "env": 'lines for eval "$(python -m services env)", which point the pipeline at them',
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, saying in SAYINGS.items():
        called = verbs.add_parser(verb, help=saying, description=saying)
        called.add_argument(
            "--root", type=Path, default=ROOT, help="where data, logs and secrets lie"
        )
        if verb != "env":
            called.add_argument(
                "--only", help="some of s3,postgres,redis,mlflow (up: and their needs)"
            )
        if verb == "up":
            called.add_argument(
                "--deadline", type=float, default=90.0, help="seconds for each to be well"
            )
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _act(asked: argparse.Namespace) -> int:
    root = asked.root.absolute()
    if asked.verb == "up":
        began = time.monotonic()
        running.up(root, asked.only, asked.deadline, _say)
        _say(f"all well after {time.monotonic() - began:.1f} s; data, logs, secrets: {root}")
        _say(f'next: eval "$(python -m services env --root {shlex.quote(str(root))})"')
    elif asked.verb == "down":
        running.down(root, asked.only, _say)
    elif asked.verb == "env":
        for name, value in running.environment(root).items():
            _say(f"export {name}={shlex.quote(value)}")
    else:
        conditions = running.status(root, asked.only)
        for row in (("service", "address", "pid", "found"), *map(_row, conditions)):
            _say("{:<9} {:<21} {:<9} {}".format(*row))
        return 0 if all(condition.is_healthy for condition in conditions) else 1
    return 0


def _row(condition: running.Condition) -> tuple[str, str, str, str]:
    return condition.name, condition.address, str(condition.pid or "-"), condition.found


def main() -> int:
    """The exit code: 0 done, 1 failed or not well, 2 wrong use."""
    try:
        if not sys.platform.startswith("linux"):
            raise Failed(
                f"these services run on Linux, found {sys.platform}; "
                "use a container or a virtual machine"
            )
        return _act(_parser().parse_args())
    except GencoError as error:
        print(f"services: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"services: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("services: interrupted; `down` stops what was started", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
