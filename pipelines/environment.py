"""What code runs, and where: the facts that provenance rests on, read from the world."""

import getpass
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "feature_repo", "model", "pipelines", "validation")


@dataclass(frozen=True)
class Code:
    """The commit, whether tracked files differ from it, and the digest of the packages' sources."""

    commit: str
    clean: bool
    digest: str
    image: str


def code_identity() -> Code:
    """From the image's environment where it was built in, else from git, else unknown."""
    commit = os.environ.get("GENCO_GIT_COMMIT") or _git("rev-parse", "HEAD") or "unknown"
    clean = commit != "unknown"
    if not os.environ.get("GENCO_GIT_COMMIT"):
        clean = clean and _git("status", "--porcelain", "--untracked-files=no") == ""
    return Code(commit, clean, source_digest(), os.environ.get("GENCO_IMAGE_DIGEST", "local"))


def source_digest() -> str:
    """sha256 over the packages' files by path, READMEs aside: names the code also without git."""
    total = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*")):
            if file.is_file() and file.suffix != ".md" and "__pycache__" not in file.parts:
                total.update(file.relative_to(ROOT).as_posix().encode())
                total.update(file.read_bytes())
    return total.hexdigest()[:16]


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def identity() -> str:
    """Who acts: GENCO_IDENTITY, else the login name of this machine."""
    return os.environ.get("GENCO_IDENTITY") or getpass.getuser()
