"""Workers of one test run never choose the same port, nor one of an outgoing connection."""

import pytest
from own_ports import free_ports, own_range

from services.ports import listened

OUTGOING = 32_768  # the first that Linux gives to outgoing connections


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_no_two_workers_can_take_the_same_port(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(workers))
    bound: list[int] = []
    for number in range(workers):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{number}")
        bound += [each for port in own_range() for each in listened("s3", port)]
    assert len(bound) == len(set(bound)) > 19_900
    assert max(bound) < OUTGOING


def test_services_get_ports_of_this_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw3")
    found = free_ports()
    assert {*found.values()} <= {*own_range()}
    assert len({*found.values()}) == len(found)
