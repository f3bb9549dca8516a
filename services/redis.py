"""Redis as Feast's online store: loopback only, every write in an append-only file."""

import shutil
import socket

from components.errors import Failed
from services.ports import LOOPBACK
from services.process import Launch
from services.service import Service, Site, plain_environment, private_folder


def launch(site: Site) -> Launch:
    """redis-server in the foreground with at most 256 MB of values."""
    program = shutil.which("redis-server")
    if program is None:
        raise Failed(
            "redis-server is not installed, expected it on PATH: apt-get install redis-server"
        )
    folder = private_folder(site.folder("redis"))
    settings = {
        "port": str(site.ports["redis"]),
        "bind": LOOPBACK,
        "protected-mode": "yes",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Launch((program, *arguments), plain_environment(folder))


def probe(site: Site) -> None:
    """Raises unless PING is answered: it is not, while the append-only file loads."""
    with socket.create_connection((LOOPBACK, site.ports["redis"]), timeout=2) as line:
        line.sendall(b"PING\r\n")
        answer = line.recv(64)
    if answer != b"+PONG\r\n":
        raise RuntimeError(f"PING was answered {answer!r}")


REDIS = Service("redis", ("redis",), launch, probe)
