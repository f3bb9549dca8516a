"""Where requests wait: bounded, answered together by one thread, on whoever is champion then."""

import asyncio
import contextlib
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipelines.serving.answering import NO_VERSION, Answering, Refusal
from pipelines.serving.bodies import Answer, Ask
from pipelines.serving.champion import Champions, Serving
from pipelines.serving.metrics import Metrics

TICK = 1.0  # seconds between looks at the age of the log file


@dataclass(frozen=True)
class Limits:
    """Requests that may wait, requests answered together, seconds between looks at the alias."""

    waiting: int = 512
    batch: int = 64
    poll: float = 15.0


class Counter:
    """Started and stopped with the server; everything but the model runs in the event loop."""

    def __init__(
        self, champions: Champions, answering: Answering, metrics: Metrics, limits: Limits
    ) -> None:
        self.serving: Serving | None = None
        self.fault = "no champion yet: promote a version, or wait for the next look"
        self._champions, self._answering = champions, answering
        self._metrics, self._limits = metrics, limits
        self._waiting: deque[tuple[Ask, asyncio.Future[Answer | Refusal]]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="choose")
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """The champion is loaded, if there is one; requests are answered from now on."""
        await self.look()
        for work in (self._answer_batches(), self._poll(), self._tick()):
            self._tasks.append(asyncio.create_task(work))

    async def stop(self) -> None:
        """What waits is answered, then the log's last file is closed."""
        self._stopping = True
        self._arrived.set()
        answering, *others = self._tasks
        await answering
        for task in others:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.get_running_loop().run_in_executor(self._thread, self._answering.close)
        self._thread.shutdown()

    async def ask(self, ask: Ask) -> Answer | Refusal | None:
        """The answer; None where too many wait already."""
        if self.serving is None:
            return Refusal(NO_VERSION, self.fault)
        if len(self._waiting) >= self._limits.waiting:
            return None
        future: asyncio.Future[Answer | Refusal] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        self._metrics.waiting.set(len(self._waiting))
        self._arrived.set()
        return await future

    async def look(self) -> None:
        """Serves whoever is champion now; keeps the old one where the new one can't be had."""
        try:
            source = await asyncio.to_thread(self._champions.source)
            if source is None or (self.serving is not None and self.serving.source.is_same(source)):
                self._metrics.loads.labels("unchanged").inc()
                return
            serving = await asyncio.to_thread(self._champions.load, source)
        except Exception as error:  # whatever is wrong with the new one, the old one serves on
            self._metrics.loads.labels("failed").inc()
            if str(error) != self.fault:  # told once, not at every look
                print(f"genco serve: {error}", file=sys.stderr, flush=True)
            self.fault = str(error)
            return
        self.serving = serving
        self._metrics.loads.labels("loaded").inc()
        told = {"version": str(serving.number), "ds": serving.source.ds, "policy": serving.name}
        self._metrics.version.info(told)

    async def _answer_batches(self) -> None:
        while self._waiting or not self._stopping:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            size = min(len(self._waiting), self._limits.batch)
            batch = [self._waiting.popleft() for _ in range(size)]
            self._metrics.waiting.set(len(self._waiting))
            self._metrics.batch.observe(size)
            await self._answer(batch)

    async def _answer(self, batch: list[tuple[Ask, "asyncio.Future[Answer | Refusal]"]]) -> None:
        serving = self.serving
        assert serving is not None, "requests wait only where a version serves"
        asks = [ask for ask, _ in batch]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(
                self._thread, self._answering.answer, serving, asks
            )
        except Exception as error:  # one bad batch must not end the loop that answers all others
            print(f"genco serve: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            answers = [
                Refusal(500, "the policy could not choose; the server's log says why")
            ] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():  # whoever asked may have gone
                future.set_result(answer)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._limits.poll)
            await self.look()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            await loop.run_in_executor(self._thread, self._answering.tick)
