"""No body larger than a request can be is read, whether it says its length or not."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 64 * 1024  # bytes of a body


class BodyLimit:
    """ASGI middleware: 413 for a larger body, of which no more than the limit is held."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = dict(scope["headers"]).get(b"content-length", b"")
        if given and (not given.isdigit() or int(given) > LARGEST):
            return await _too_large()(scope, receive, send)
        body = await _read(receive)
        if body is None:
            return await _too_large()(scope, receive, send)
        told = False

        async def replay() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None where it is larger than the limit."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large() -> JSONResponse:
    said = (
        f"the body is larger than {LARGEST:,} bytes, more than any request needs; send one request"
    )
    return JSONResponse({"error": said}, 413, headers={"Connection": "close"})
