"""`python -m images.testing`: tests/containers on podman's socket, with an image of these sources.

Needs podman and runc. An image that was made of other sources is refused: the files that its steps
write would differ from the in-process ones for that reason alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import Failed, GencoError, WrongUse
from pipelines.environment import ROOT, source_digest

SOURCE = "genco.source"
UP_S = 20  # a socket that is not there by then will not come
LIMITS = 'default_ulimits=["nofile=16384:16384","nproc=16384:16384"]'


def check_image(image: str) -> None:
    """WrongUse where podman has no such image, or it was made of other sources."""
    asked = ["podman", "image", "inspect", "--format", f'{{{{index .Labels "{SOURCE}"}}}}', image]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise WrongUse("podman is not installed; apt-get install podman runc") from error
    if told.returncode != 0:
        raise WrongUse(f"podman has no image {image!r}; make it with `make image`")
    if told.stdout.strip() != source_digest():
        raise WrongUse(
            f"the image {image!r} was made of other sources ({told.stdout.strip() or 'unknown'}, "
            f"here are {source_digest()}); make it anew with `make image`"
        )


@contextmanager
def engine() -> Iterator[str]:
    """The URL of podman's socket; the service ends with the block."""
    with tempfile.TemporaryDirectory(prefix="genco-podman-") as folder:
        socket, settings = Path(folder, "podman.sock"), Path(folder, "containers.conf")
        settings.write_text(f"[containers]\n{LIMITS}\n")
        words = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        words += ["system", "service", "--time=0", f"unix://{socket}"]
        surroundings = {**os.environ, "CONTAINERS_CONF": str(settings)}
        service = subprocess.Popen(words, env=surroundings)
        try:
            _wait(socket, service)
            yield f"unix://{socket}"
        finally:
            service.terminate()
            service.wait(timeout=30)


def _wait(socket: Path, service: subprocess.Popen[bytes]) -> None:
    for _ in range(UP_S * 10):
        if socket.exists():
            return
        if service.poll() is not None:
            break
        time.sleep(0.1)
    raise Failed("podman's service did not start; `podman --runtime runc info` says why")


def main() -> int:
    """pytest's exit code, or 2 where there is nothing to test."""
    parser = argparse.ArgumentParser(prog="python -m images.testing", description=__doc__)
    parser.add_argument("--image", default="localhost/genco:local")
    asked, more = parser.parse_known_args()
    try:
        check_image(asked.image)
        with engine() as url:
            told = {"DOCKER_HOST": url, "GENCO_IMAGE": asked.image, "GENCO_TEST_CONTAINERS": "1"}
            words = [sys.executable, "-m", "pytest", "tests/containers", *more]
            return subprocess.run(
                words, cwd=ROOT, env={**os.environ, **told}, check=False
            ).returncode
    except GencoError as error:
        print(f"images: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
