"""Every port in one place: the default, or GENCO_<NAME>_PORT from the environment.

The defaults are not those of the programs: where Debian starts its own PostgreSQL or Redis on
5432 or 6379, ours live beside them. All lie below the range from which Linux takes the ports of
outgoing connections (32768 and up).
"""

import socket
from collections.abc import Mapping

from components.errors import WrongUse

LOOPBACK = "127.0.0.1"
DEFAULTS = {
    "s3": 18333,
    "s3_master": 19333,
    "s3_volume": 19340,
    "s3_filer": 18888,
    "s3_admin": 13646,
    "postgres": 15432,
    "redis": 16379,
    "mlflow": 15000,
}
# SeaweedFS speaks gRPC to itself at this distance above each of its ports; its own worker insists.
GRPC_ABOVE = 10_000


def variable(name: str) -> str:
    """The environment variable that moves a port."""
    return f"GENCO_{name.upper()}_PORT"


def ports_from(environment: Mapping[str, str]) -> dict[str, int]:
    """Name -> port for all of DEFAULTS; WrongUse where a variable holds no port."""
    return {
        name: _port(name, environment.get(variable(name), default))
        for name, default in DEFAULTS.items()
    }


def _port(name: str, found: str | int) -> int:
    highest = 65535 - (GRPC_ABOVE if name.startswith("s3") else 0)
    if str(found).isdecimal() and 1024 <= int(found) <= highest:
        return int(found)
    raise WrongUse(
        f"{variable(name)} is {found!r}, expected a port from 1024 to {highest}; "
        f"unset it for {DEFAULTS[name]}"
    )


def listened(name: str, port: int) -> tuple[int, ...]:
    """The ports that a program really binds for the one named."""
    return (port, port + GRPC_ABOVE) if name.startswith("s3") else (port,)


def is_free(port: int) -> bool:
    """True where nobody listens on the loopback port (or on it at every address)."""
    with socket.socket() as probe:
        # else a connection just closed would look like a listener
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
