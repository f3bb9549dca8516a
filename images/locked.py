"""Exits 1 with one sentence where an installed package is not the one that is pinned, or torch's
build is not that of the variant (cpu or gpu).

Pins are the lines of constraints.txt, images/constraints.txt, and `==` in pyproject.toml.

CUDA's libraries and Triton are let through: torch itself pins them exactly, and only the GPU
variant has them. Standard library only: it runs in the build.
"""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

PINNED_BY_TORCH = ("nvidia-", "cuda-", "triton")
FILES = ("constraints.txt", "images/constraints.txt", "pyproject.toml")
PIN = re.compile(r"""^[\s"]*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([\w.]+)""", re.MULTILINE)


def canonical(name: str) -> str:
    """The name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(texts: list[str]) -> dict[str, str]:
    """Version by canonical name."""
    return {canonical(name): version for text in texts for name, version in PIN.findall(text)}


def strangers(wanted: dict[str, str], packages: Path) -> list[str]:
    """Installed `name==version` that `wanted` does not pin so, sorted."""
    found = {canonical(d.metadata["Name"]): d.version for d in distributions(path=[str(packages)])}
    return sorted(
        f"{name}=={version}"
        for name, version in found.items()
        if wanted.get(name) != version.split("+")[0] and not name.startswith(PINNED_BY_TORCH)
    )


def build_of_torch(packages: Path) -> str:
    """cpu or gpu, by the local label of torch's version; "" where there is no torch."""
    found = [
        d.version for d in distributions(path=[str(packages)]) if d.metadata["Name"] == "torch"
    ]
    if not found:
        return ""
    return "cpu" if found[0].endswith("+cpu") else "gpu"


if __name__ == "__main__":
    wanted = pins([Path(name).read_text() for name in FILES])
    unpinned = strangers(wanted, Path(sys.argv[1]))
    if unpinned:
        sys.exit(
            f"installed but not pinned so in {', '.join(FILES)}: {', '.join(unpinned)}; "
            "pin them in constraints.txt and build again"
        )
    variant, build = sys.argv[2], build_of_torch(Path(sys.argv[1]))
    if variant == "gpu" and build != "gpu":
        sys.exit(
            f"the GPU variant holds torch's {build or 'no'} build, so it would have no GPU; leave "
            "torch out of `wheels` (WHEELS=)"
        )
