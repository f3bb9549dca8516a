"""`python -m images`: builds the image with docker, podman or buildah, and says what is in it."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from components.errors import GencoError
from images.builder import (
    Wish,
    base_of_debian,
    built,
    check_base,
    check_unchanged,
    check_wheels,
    command,
    find_tool,
)
from pipelines.environment import ROOT, code_identity


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    parser.add_argument(
        "--base", help="NAME@sha256:..., an image with Python 3.11 (default: Debian, made here)"
    )
    parser.add_argument("--tag", default="genco:local")
    parser.add_argument("--variant", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--wheels", type=Path, help="folder of wheels, such as torch's CPU build")
    parser.add_argument("--certificates", type=Path, help="CA bundle that the index needs")
    parser.add_argument("--version", default="0")
    return parser


def main() -> int:
    """The exit code: 0 done, 1 the builder failed, 2 wrong use."""
    asked = _parser().parse_args()
    try:
        if asked.base is not None:
            check_base(asked.base)
        tool, code = find_tool(), code_identity()
        base = asked.base or base_of_debian()
        with tempfile.TemporaryDirectory() as empty:
            wheels = Path(empty) if asked.wheels is None else asked.wheels
            check_wheels(asked.variant, wheels)
            wish = Wish(base, asked.tag, asked.variant, wheels, asked.certificates)
            words = command(tool, wish, asked.version, code)
            subprocess.run(words, cwd=ROOT, check=True)
        check_unchanged(code.digest)
        print(built(tool, asked.tag))
    except GencoError as error:
        print(f"images: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        print(f"images: {error.cmd[0]} ended with {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
