"""Free ports that no other process of the same test run takes.

A port is found free here and bound later, by a program that the test starts. Those below come from
a part of the range that belongs to one worker of pytest-xdist, below the ports that Linux gives to
outgoing connections, so that nothing takes them in between.
"""

import os
import random

from services.ports import DEFAULTS, GRPC_ABOVE, is_free, listened

LOWEST = 10_100
_rng = random.Random(os.getpid())


def own_range() -> range:
    """This worker's equal part of [LOWEST, LOWEST + GRPC_ABOVE), which is all of it for one alone."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    each = GRPC_ABOVE // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return range(LOWEST + number * each, LOWEST + (number + 1) * each)


def free_ports() -> dict[str, int]:
    """A port for every service, never a default one."""
    found = dict[str, int]()
    while len(found) < len(DEFAULTS):
        name = list(DEFAULTS)[len(found)]
        found[name] = free_port(name, *found.values())
    return found


def free_port(name: str = "", *but: int) -> int:
    """A port for the service of this name, or for any other program."""
    while True:
        port = _rng.choice(own_range())
        if port not in {*DEFAULTS.values(), *but} and all(map(is_free, listened(name, port))):
            return port
