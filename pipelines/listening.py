"""`genco notify --listen`: MLflow's webhooks over HTTP, on loopback unless told otherwise."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.adapters.clock import now
from components.adapters.ledger import Ledger
from components.adapters.storage import open_storage
from components.day import Day
from components.errors import Conflict, Failed, GencoError, Refused, WrongUse
from components.notify import stage as telling
from components.notify.receiving import Receiver
from components.notify.webhooks import LARGEST
from components.register_version.stage import open_registry
from pipelines.config import Config, load_config
from pipelines.plan import notify_settings
from pipelines.running import absolute, tracking_uri, work_folder

if TYPE_CHECKING:
    from fastapi import FastAPI


def listen(file: Path, host: str, port: int) -> None:
    """Serves until it is stopped."""
    import uvicorn

    uvicorn.run(open_ear(file), host=host, port=port, log_level="warning", server_header=False)


def subscribe(file: Path, url: str) -> None:
    """MLflow calls this address from now on, signed with our secret."""
    config = absolute(load_config(file))
    place = Day(ds="", store=config.store, work=str(work_folder(config)))
    secret = _secret(config)
    open_registry(place, config.name, tracking_uri(config)).subscribe(url, secret)


def open_ear(file: Path) -> "FastAPI":
    """The application: POST /mlflow takes a webhook, GET /healthz answers."""
    config = absolute(load_config(file))
    storage = open_storage(config.store, config.endpoint_url)
    settings = notify_settings(config)

    def tell(said: str, next_command: str) -> None:
        day = Day(ds=f"{now():%Y-%m-%d}", store=config.store, work=str(work_folder(config)))
        telling.run(day, settings, "ALIAS MOVED", said, next_command)

    receiver = Receiver(config.name, _secret(config), Ledger(storage, config.name), tell, now)
    return application(receiver)


def _secret(config: Config) -> str:
    secret = os.environ.get(config.notify.mlflow_secret_env, "")
    if not secret:
        raise WrongUse(
            f"{config.notify.mlflow_secret_env} is not set; put the secret that MLflow signs its "
            "webhooks with there (docs/keys.md)"
        )
    return secret


def application(receiver: Receiver) -> "FastAPI":
    """HTTP around a receiver: 200 taken, 401 refused, 413 too large, 503 try again."""
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    app = FastAPI(title="genco notify", docs_url=None, redoc_url=None, openapi_url=None)

    async def take(request: Request) -> JSONResponse:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                return JSONResponse({"error": f"more than {LARGEST} bytes"}, 413)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return JSONResponse(*await run_in_threadpool(_answer, receiver, headers, body))

    app.add_api_route("/mlflow", _annotated(take, Request), methods=["POST"])
    app.add_api_route("/healthz", lambda: {"status": "well"}, methods=["GET"])
    return app


def _annotated(function: Any, request: Any) -> Any:
    function.__annotations__ = {"request": request}
    return function


def _answer(receiver: Receiver, headers: dict[str, str], body: bytes) -> tuple[Any, int]:
    try:
        return receiver.take(headers, body), 200
    except (Conflict, Failed) as error:
        return {"error": str(error)}, 503
    except Refused as error:
        return {"error": str(error)}, 401
    except GencoError as error:
        return {"error": str(error)}, 500
