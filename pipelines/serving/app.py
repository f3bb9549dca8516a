"""The serving policy over HTTP."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from pipelines.serving.answering import NO_VERSION, Refusal
from pipelines.serving.bodies import Answer, Ask, Fault
from pipelines.serving.champion import Serving
from pipelines.serving.counter import Counter
from pipelines.serving.limits import BodyLimit
from pipelines.serving.metrics import Metrics

RETRY_AFTER = "1"  # seconds
FAULTS: dict[int | str, dict[str, Any]] = {
    s: {"model": Fault} for s in (404, 409, 413, 422, 500, 503)
}
OUTCOMES = {404: "unknown product", 409: "nothing legal", 422: "wrong request", 500: "failed"}


def application(
    open_counter: Callable[[], Counter], metrics: Metrics, clock: Callable[[], datetime]
) -> FastAPI:
    """The server; `open_counter` is called inside its event loop."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        counter = open_counter()
        app.state.counter = counter
        await counter.start()
        yield
        await counter.stop()

    app = FastAPI(title="genco serve", lifespan=lifespan, redoc_url=None)
    app.add_middleware(BodyLimit)
    _recommending(app, metrics)
    _telling(app, metrics, clock)

    @app.exception_handler(RequestValidationError)
    async def wrong_shape(request: Request, error: RequestValidationError) -> Response:
        metrics.requests.labels("wrong request").inc()
        return JSONResponse({"error": _sentence(error)}, 422)

    return app


def _recommending(app: FastAPI, metrics: Metrics) -> None:
    @app.post("/recommend", response_model=Answer, responses=FAULTS)
    async def recommend(ask: Ask, request: Request) -> Response:
        began = time.perf_counter()
        counter: Counter = request.app.state.counter
        answer = await counter.ask(ask)
        metrics.seconds.observe(time.perf_counter() - began)
        if isinstance(answer, Answer):
            metrics.requests.labels("answered").inc()
            return Response(answer.model_dump_json(), media_type="application/json")
        if answer is None:
            metrics.requests.labels("queue full").inc()
            said = "too many requests wait already; ask again after the time in Retry-After"
            return _refused(Refusal(NO_VERSION, said))
        metrics.requests.labels(OUTCOMES.get(answer.status, "no version")).inc()
        return _refused(answer)


def _refused(refusal: Refusal) -> Response:
    headers = {"Retry-After": RETRY_AFTER} if refusal.status == NO_VERSION else None
    return JSONResponse({"error": refusal.sentence}, refusal.status, headers=headers)


def _telling(app: FastAPI, metrics: Metrics, clock: Callable[[], datetime]) -> None:
    @app.get("/health")
    async def health(request: Request) -> Response:
        counter: Counter = request.app.state.counter
        if counter.serving is None:
            return JSONResponse({"status": "waiting", "error": counter.fault}, 503)
        age = (clock() - counter.serving.since).total_seconds()
        told = {"status": "serving", **_version(counter.serving), "age_seconds": age}
        return JSONResponse(told)

    @app.get("/version")
    async def version(request: Request) -> Response:
        counter: Counter = request.app.state.counter
        if counter.serving is None:
            return JSONResponse({"error": counter.fault}, 503)
        return JSONResponse(_version(counter.serving))

    @app.get("/metrics")
    async def told() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")


def _version(serving: Serving) -> dict[str, Any]:
    return {
        "version": serving.number,
        "policy": serving.name,
        "ds": serving.source.ds,
        "bundle": serving.source.version.bundle,
        "loaded_at": serving.since.isoformat(),
    }


def _sentence(error: RequestValidationError) -> str:
    faults = []
    for fault in error.errors()[:5]:
        where = ".".join(str(part) for part in fault["loc"] if part != "body") or "the body"
        faults.append(f"{where}: {fault['msg'][:200]}")
    return (
        f"the request is not as expected: {'; '.join(faults)}; send "
        '{"product_id": text, "context": {name: value}} with optional impression_id and user_id, and '
        "the header Content-Type: application/json"
    )
