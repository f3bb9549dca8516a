"""`genco serve` in a process of its own under a load from here: `python -m benchmarks.serving load`.

First as many requests at once as keep it busy (closed loop), then half of what it managed, sent at
even times whether or not earlier ones came back (open loop), so that waiting counts.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.day import CONFIG
from components.adapters.registry import CHAMPION
from examples.storefront.shop import Shop
from pipelines import deciding, running

DS, FIRST, DAYS, IMPRESSIONS = "2026-11-22", "2026-11-19", 4, 5000
AT_ONCE, SECONDS = 32, 10.0
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Load:
    """Answers a second, milliseconds of each answer, and how many were no answer."""

    rate: float
    milliseconds: np.ndarray
    errors: int

    def line(self, name: str) -> str:
        p50, p99 = (float(np.quantile(self.milliseconds, q)) for q in (0.5, 0.99))
        answers = len(self.milliseconds)
        return (
            f"| {name} | {self.rate:,.0f} | {p50:.1f} | {p99:.1f} | {answers:,} | {self.errors} |"
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (url, products):
        first = httpx.post(f"{url}/recommend", content=body(products, 0), headers=JSON)
        if first.status_code != 200:
            raise SystemExit(f"the first request was answered {first.status_code}: {first.text}")
        asyncio.run(closed(url, products, 3.0))  # the first requests of every product
        full = asyncio.run(closed(url, products, SECONDS))
        half = asyncio.run(opened(url, products, full.rate / 2, SECONDS))
    print("genco serve, server and client on the same two cores")
    print("| load | answers a second | p50 ms | p99 ms | answers | errors |")
    print("|---|---|---|---|---|---|")
    print(full.line(f"saturated, {AT_ONCE} at once"))
    print(half.line("half of that, at even times"))


@contextmanager
def served(root: Path) -> Iterator[tuple[str, list[str]]]:
    """(address, products) of a server whose champion learned from a simulated shop."""
    shop = Shop.create(0)
    shop.write_days(root, FIRST, DAYS, IMPRESSIONS)
    config = root / "shop.yaml"
    config.write_text(CONFIG.format(root=root, runner="local"))
    summary = running.run(config, DS, None, "local")
    assert summary.version is not None, summary.reasons
    desk = deciding.open_desk(config, "benchmark")
    desk.registry.point(CHAMPION, summary.version)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    genco = Path(sys.executable).with_name("genco")
    command = [str(genco), "serve", "--config", str(config), "--port", str(port)]
    process = subprocess.Popen([*command, "--log-to", str(root / "served")])
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process)
        yield url, list(shop.truth.products)
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with exit code {process.returncode}")
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not come up within 60 s")


def body(products: list[str], number: int) -> bytes:
    """A request; products and hours in turn."""
    context = {"hour": float(number % 24), "device": ("phone", "desk")[number % 2]}
    return json.dumps({"product_id": products[number % len(products)], "context": context}).encode()


async def closed(url: str, products: list[str], seconds: float) -> Load:
    """As many as the server manages with AT_ONCE under way."""
    taken: list[float] = []
    errors, number = 0, iter(range(10**9))
    end = time.perf_counter() + seconds

    async def worker(client: httpx.AsyncClient) -> None:
        nonlocal errors
        while time.perf_counter() < end:
            ms, fine = await _ask(client, body(products, next(number)))
            taken.append(ms)
            errors += not fine

    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        await asyncio.gather(*(worker(client) for _ in range(AT_ONCE)))
    return Load(len(taken) / seconds, np.array(taken), errors)


async def opened(url: str, products: list[str], rate: float, seconds: float) -> Load:
    """Requests at even times; an answer's time counts from when it was due."""
    began = time.perf_counter()

    async def one(client: httpx.AsyncClient, number: int) -> tuple[float, bool]:
        due = began + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        late = 1000 * (time.perf_counter() - due)
        ms, fine = await _ask(client, body(products, number))
        return late + ms, fine

    limits = httpx.Limits(max_connections=256)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
        found = await asyncio.gather(*(one(client, n) for n in range(int(rate * seconds))))
    lasted = time.perf_counter() - began
    return Load(
        len(found) / lasted, np.array([ms for ms, _ in found]), sum(not f for _, f in found)
    )


async def _ask(client: httpx.AsyncClient, content: bytes) -> tuple[float, bool]:
    began = time.perf_counter()
    answer = await client.post("/recommend", content=content, headers=JSON)
    return 1000 * (time.perf_counter() - began), answer.status_code == 200
