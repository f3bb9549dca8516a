"""What the four services have in common: where they live, how they start, when they are well."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.errors import Failed
from services import process
from services.credentials import Credentials
from services.ports import LOOPBACK
from services.process import Launch, Process


@dataclass(frozen=True)
class Site:
    """One root with its ports and secrets; everything of a service lies below the root."""

    root: Path
    ports: Mapping[str, int]
    credentials: Credentials

    def folder(self, name: str) -> Path:
        return self.root / name

    def address(self, name: str) -> str:
        return f"{LOOPBACK}:{self.ports[name]}"


@dataclass(frozen=True)
class Service:
    """A program: the ports it takes (the one to speak to first), what must be well before it,
    how it is launched (Failed where it is not installed), a probe that raises unless it is well,
    and the signal that ends it in good order."""

    name: str
    ports: tuple[str, ...]
    launch: Callable[[Site], Launch]
    probe: Callable[[Site], None]
    needs: tuple[str, ...] = ()
    ends_on: signal.Signals = signal.SIGTERM


def log_file(root: Path, name: str) -> Path:
    """Where a service's output goes."""
    return root / "logs" / f"{name}.log"


def plain_environment(folder: Path, **more: str) -> dict[str, str]:
    """What a server gets of our environment: the search path and the language, no settings.

    Else a proxy, an AWS profile or an MLFLOW_ variable of the caller's shell would steer it.
    """
    passed = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
    own = {name: os.environ[name] for name in passed if name in os.environ}
    return own | {"HOME": str(folder)} | more


def private_folder(folder: Path) -> Path:
    """The folder, made for its owner only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def fault(service: Service, site: Site) -> str | None:
    """Why a running service is not well, in a few words; None where it is."""
    try:
        service.probe(site)
    except Exception as error:  # vendors raise what they like: whatever it is, it is not well
        said = (str(error).strip().splitlines() or [""])[0][:300]
        return f"{type(error).__name__}: {said}"
    return None


def await_health(service: Service, site: Site, started: Process, deadline_s: float) -> None:
    """Returns when the service is well; Failed with the end of its log when it died or is late."""
    end = time.monotonic() + deadline_s
    while (found := fault(service, site)) is not None:
        if not process.is_alive(started):
            raise Failed(_story(service, site, "ended while it started"))
        if time.monotonic() > end:
            story = f"is not well after {deadline_s:g} s, it answers {found}"
            raise Failed(_story(service, site, story))
        time.sleep(0.1)


def _story(service: Service, site: Site, found: str) -> str:
    log = log_file(site.root, service.name)
    said = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
    return (
        f"{service.name} {found}; expected it at {site.address(service.ports[0])}; its log "
        f"{log} ends with: {' / '.join(line.strip()[:200] for line in said) or 'nothing'}; "
        "mend that and say `up` again, what is up stays up"
    )
