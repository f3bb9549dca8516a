"""The command line that builds the image, for whichever builder is there."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.errors import Failed, WrongUse
from pipelines.environment import ROOT, Code, source_digest

PROBES = {
    "docker": ("docker", "info"),
    "podman": ("podman", "info"),
    "buildah": ("buildah", "info"),
}


@dataclass(frozen=True)
class Wish:
    """What is to be built: base by digest, tag, cpu or gpu, folder of wheels, CA bundle or None."""

    base: str
    tag: str
    variant: str
    wheels: Path
    certificates: Path | None


def check_base(base: str) -> None:
    """WrongUse where the base has no digest."""
    if re.search(r"@sha256:[0-9a-f]{64}$", base) is None:
        raise WrongUse(
            f"the base image {base!r} has no digest; expected NAME@sha256:<64 hex digits>: "
            "`sh images/base.sh` makes one from Debian packages and prints its digest"
        )


def check_wheels(variant: str, wheels: Path) -> None:
    """WrongUse where the GPU variant would take torch's CPU build, and so have no GPU."""
    if variant == "gpu" and (found := sorted(wheels.glob("torch-*+cpu-*.whl"))):
        raise WrongUse(
            f"{found[0]} is torch's CPU build; the GPU variant takes the index's: leave --wheels out"
        )


def check_unchanged(digest: str) -> None:
    """Failed where the sources are no longer those of `digest`, which the image's label names."""
    if (now := source_digest()) != digest:
        raise Failed(
            f"the sources changed while the image was built ({digest} when it began, {now} now), so "
            "its label may name others than it holds; build it again"
        )


def base_of_debian() -> str:
    """A base made of Debian packages here, by digest; made once, so a second call is quick."""
    name = "localhost/genco-base:bookworm"
    made = subprocess.run(
        ["sh", "images/base.sh", name], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if made.returncode != 0:
        raise WrongUse(
            "no base image is named and none could be made here; say BASE=NAME@sha256:..., an "
            "image with Python 3.11 such as python:3.11-slim-bookworm"
        )
    return f"{name.split(':')[0]}@{made.stdout.split()[-1]}"


def works(tool: str) -> bool:
    """Whether the builder is installed and answers (a docker client without its engine does not)."""
    if shutil.which(tool) is None:
        return False
    return subprocess.run(PROBES[tool], capture_output=True, check=False).returncode == 0


def find_tool(usable: Callable[[str], bool] = works) -> str:
    """The first usable of buildah as root (it needs no engine), docker, podman, buildah."""
    order = ["docker", "podman", "buildah"]
    if os.getuid() == 0:
        order = ["buildah", *order]
    for tool in order:
        if usable(tool):
            return tool
    raise WrongUse(
        "no builder of images is usable here: docker, podman and buildah are not installed or do "
        "not answer; install one, such as Debian's package buildah"
    )


def command(tool: str, wish: Wish, version: str, code: Code) -> list[str]:
    """Words of the build; the commit is marked where tracked files differ from it."""
    commit = code.commit if code.clean else f"{code.commit}-dirty"
    arguments = {
        "BASE": wish.base,
        "COMMIT": commit,
        "SOURCE": code.digest,
        "VARIANT": wish.variant,
        "VERSION": version,
    }
    words = [tool, "build", "--tag", wish.tag, "--build-context", f"wheels={wish.wheels}"]
    if tool == "buildah":
        words += ["--layers", "--isolation", "chroot", "--network", "host"]
    if wish.certificates is not None:
        words += ["--secret", f"id=certificates,src={wish.certificates}"]
    for name, text in arguments.items():
        words += ["--build-arg", f"{name}={text}"]
    return [*words, "."]


def built(tool: str, tag: str) -> str:
    """One line: tag, size as the builder tells it, and the digest to pin."""
    told = subprocess.run(
        [tool, "images", "--digests", "--format", "{{.Size}}, {{.Digest}}", tag],
        capture_output=True,
        text=True,
        check=True,
    )
    return f"{tag}: {told.stdout.strip()}"
