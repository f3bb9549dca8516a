"""`genco serve` as its own process on a real champion: asked, stopped, its log read by ingest."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from own_ports import free_port
from small_shop import DS, write_config, write_shop

from components.adapters.registry import CHAMPION
from components.day import Day
from components.ingest_logs import stage as ingest_logs
from components.plan import settings_of
from pipelines import deciding, running
from pipelines.config import load_config
from pipelines.running import absolute
from pipelines.serving.champion import Champions

CONTEXT = {"placement": "home", "device": "phone", "segment": "new", "hour": 9}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A store whose only version is champion by decree."""
    root = tmp_path_factory.mktemp("serve")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    running.run(config, DS, None, "local")
    desk = deciding.open_desk(config, "anna")
    desk.registry.point(CHAMPION, 1)
    return SimpleNamespace(root=root, config=config, desk=desk)


@pytest.fixture(scope="module")
def server(place: SimpleNamespace) -> Iterator[SimpleNamespace]:
    with serving(place, "served") as found:
        yield found


@contextlib.contextmanager
def serving(place: SimpleNamespace, log: str) -> Iterator[SimpleNamespace]:
    """`genco serve` in a process of its own, which looks for a new champion twice a second."""
    port = free_port()
    served = place.root / log
    command = [str(Path(sys.executable).parent / "genco"), "serve", "--config", str(place.config)]
    command += ["--port", str(port), "--log-to", str(served), "--poll", "0.5"]
    process = subprocess.Popen([*command, "--rotate-rows", "40"])
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield SimpleNamespace(url=url, served=served, process=process)
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended by itself"
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the server did not come up")


def product_of(place: SimpleNamespace) -> str:
    champions = Champions(absolute(load_config(place.config)), lambda: None)  # type: ignore[arg-type, return-value]
    source = champions.source()
    return str(champions.load(source).policy.elements.product_id[0])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"product_id": "nobody", "context": {}}, 404, "no element in the catalog"),
        ({"context": {}}, 422, "product_id"),
        ({"product_id": 7}, 422, "product_id"),
        ({"product_id": "p", "colour": "red"}, 422, "colour"),
        ({"product_id": "p", "context": {"hour": "nine"}}, 422, "expected a number"),
        ({"product_id": "p", "context": {"device": 3}}, 422, "expected text"),
        ({"product_id": "p", "context": {"device": {"deep": 1}}}, 422, "context"),
        ([1, 2], 422, "body"),
    ],
)
def test_a_wrong_request_is_refused_in_a_sentence(server, body, status: int, said: str) -> None:
    answer = httpx.post(f"{server.url}/recommend", json=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_text_that_is_no_json_and_ten_megabytes_are_refused(server) -> None:
    url = f"{server.url}/recommend"
    assert httpx.post(url, content=b"{").status_code == 422
    assert (
        httpx.post(url, content=b'{"product_id": "p", "context": {"hour": NaN}}').status_code == 422
    )
    assert httpx.post(url, content=b"x" * 10_000_000).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield from [b"x" * 50_000] * 200

    with contextlib.suppress(httpx.WriteError):  # refused while it was still being sent
        assert httpx.post(url, content=chunks()).status_code == 413
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_what_is_served_is_told(server) -> None:
    told = httpx.get(f"{server.url}/version").json()
    assert (told["version"], told["policy"], told["ds"]) == (1, "small-v1", DS)
    health = httpx.get(f"{server.url}/health").json()
    assert health["status"] == "serving"
    assert health["age_seconds"] >= 0
    text = httpx.get(f"{server.url}/metrics").text
    for name in ("genco_requests_total", "genco_request_seconds_bucket", "genco_queue_depth"):
        assert name in text
    assert 'version="1"' in text


def test_every_answer_is_in_the_log_that_tomorrows_ingest_reads(place, server) -> None:
    product = product_of(place)
    contexts = [CONTEXT, {**CONTEXT, "device": "never seen"}, {}, {"device": None, "extra": 1}]
    asks = [
        {
            "product_id": product,
            "context": contexts[n % 4],
            "impression_id": f"i{n}",
            "user_id": f"u{n}",
        }
        for n in range(150)
    ]
    with httpx.Client(base_url=server.url) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda ask: client.post("/recommend", json=ask), asks))
    assert {answer.status_code for answer in answers} == {200}
    told = {answer.json()["impression_id"]: answer.json() for answer in answers}
    assert set(told) == {ask["impression_id"] for ask in asks}
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert not list(server.served.rglob(".*"))
    files = list(server.served.glob("impressions/dt=*/*.jsonl"))
    assert len(files) >= 3
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    logged = {row["impression_id"]: row for row in rows}
    assert set(told) <= set(logged)
    for name, answer in told.items():
        assert logged[name]["creative"] == answer["combination"]
        assert logged[name]["propensity"] == answer["propensity"]
        assert logged[name]["policy"] == answer["version"] == "small-v1"
    assert_ingest_reads(place, server.served, len(rows))


def assert_ingest_reads(place: SimpleNamespace, served: Path, rows: int) -> None:
    """The real stage, with the day's catalog, makes a bag of every row and rejects none."""
    partitions = sorted(served.glob("impressions/dt=*"))
    ds = partitions[-1].name.removeprefix("dt=")
    assert date.fromisoformat(ds)
    settings = settings_of(
        running.make_plan(load_config(place.config)), "ingest_logs", ingest_logs.Settings
    )
    settings = settings.model_copy(update={"logs": str(served), "window_days": len(partitions)})
    day = Day(ds=ds, store=str(served / "store"), work=str(served / "work"))
    result = ingest_logs.run(day, settings)
    assert result.unreadable == {}
    import pyarrow.parquet as pq

    bags = rejected = 0
    for dt, attempt in result.made.items():
        folder = served / "store" / f"days/ds={dt}/attempt={attempt}/ingest_logs"
        for part in sorted(folder.glob("bags-*.parquet")):
            found = pq.read_table(part)
            bags += len(found)
            assert np.all(np.array(found["propensity"]) > 0)
        rejected += len(pq.read_table(folder / "rejected.parquet"))
    assert (bags, rejected) == (rows, 0)


def test_a_new_champion_takes_over_under_load_without_an_error(place) -> None:
    product = product_of(place)
    other = write_config(place.root, str(place.root / "store"), more="seed: 5\n")
    assert running.run(other, DS, None, "local").version == 2
    with serving(place, "swapped") as server:
        try:
            told = asyncio.run(loaded(server.url, product, lambda: point(place, 2), "small-v2"))
        finally:
            point(place, 1)
        assert server.process.poll() is None
    assert {status for answers in told for status, _ in answers} == {200}
    versions = [[version for _, version in answers] for answers in told]
    assert {name for own in versions for name in own} == {"small-v1", "small-v2"}
    for own in versions:  # whoever was once answered by the new one never gets the old one again
        assert own == sorted(own)
    logged = [
        json.loads(line)["policy"]
        for file in server.served.glob("impressions/dt=*/*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert sorted(logged) == sorted(name for own in versions for name in own)


def point(place: SimpleNamespace, version: int) -> None:
    place.desk.registry.point(CHAMPION, version)


async def loaded(
    url: str, product: str, swap: Callable[[], None], until: str
) -> list[list[tuple[int, str]]]:
    """(status, version) of every answer, by client: four at once ask on until each was answered by
    `until` five times; after twenty answers the champion is swapped. At most 60 s and, as every
    client takes a breath between two questions, some 12,000 answers: who loads the next champion
    shares the core with who answers."""
    told: list[list[tuple[int, str]]] = [[] for _ in range(4)]
    limit = time.monotonic() + 60
    body = {"product_id": product, "context": CONTEXT}

    async def ask_on(client: httpx.AsyncClient, own: list[tuple[int, str]]) -> None:
        left = 5
        while left and time.monotonic() < limit:
            answer = await client.post("/recommend", json=body)
            own.append((answer.status_code, answer.json().get("version", "")))
            left -= own[-1][1] == until
            await asyncio.sleep(0.02)

    async def swap_later() -> None:
        while sum(map(len, told)) < 20 and time.monotonic() < limit:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(swap)

    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        await asyncio.gather(swap_later(), *(ask_on(client, own) for own in told))
    return told
