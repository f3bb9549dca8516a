"""The inbox over HTTP: server-rendered pages, no script, every action by the desk's functions."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.middleware.base import RequestResponseEndpoint

from components.errors import GencoError
from components.promotion import Desk
from pipelines.inbox.pages import STYLE_SOURCE, page
from pipelines.inbox.pending import (
    Pending,
    pending_versions,
    promotion_page,
    quarantined_days,
    read_pending,
)
from pipelines.inbox.sessions import COOKIE, HOURS, Session, Sessions, same_token
from pipelines.inbox.users import Door

LARGEST = 64 * 1024  # bytes of a form
OWN = f"default-src 'none'; style-src {STYLE_SOURCE}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
SHOWN = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox allow-top-navigation-by-user-activation"
HEADERS = {
    "Content-Security-Policy": OWN,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Desks = Callable[[str], Desk]


def application(door: Door, desk_of: Desks, name: str, sessions: Sessions | None = None) -> FastAPI:
    """The inbox of one model; `desk_of` opens the desk for a signed-in person."""
    app = FastAPI(title="genco inbox", docs_url=None, redoc_url=None, openapi_url=None)
    kept = sessions or Sessions()
    _guard(app)
    _signing(app, door, kept, name)
    _reading(app, kept, desk_of, name)
    _deciding(app, kept, desk_of, name)
    return app


def _guard(app: FastAPI) -> None:
    @app.middleware("http")
    async def guard(request: Request, follow: RequestResponseEndpoint) -> Response:
        length = request.headers.get("content-length", "0")
        chunked = "transfer-encoding" in request.headers
        if chunked or not length.isdigit() or int(length) > LARGEST:
            text = f"A form may hold {LARGEST:,} bytes and must say how many it has."
            answer: Response = _says(413, "Too large", text)
        else:
            answer = await follow(request)
        for header, value in HEADERS.items():
            answer.headers.setdefault(header, value)
        return answer

    @app.exception_handler(RequestValidationError)
    async def wrong_form(request: Request, error: RequestValidationError) -> Response:
        fields = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
        return _says(422, "Not understood", f"The form or address is not as expected: {fields}.")

    @app.exception_handler(404)
    async def nowhere(request: Request, error: Exception) -> Response:
        return _says(404, "Not here", "There is no such page. The inbox starts at /.")


def _signing(app: FastAPI, door: Door, sessions: Sessions, name: str) -> None:
    @app.get("/sign-in")
    def ask() -> HTMLResponse:
        return HTMLResponse(page("sign_in", model=name, fault=None))

    @app.post("/sign-in")
    def enter(
        request: Request, who: Annotated[str, Form()], password: Annotated[str, Form()]
    ) -> Response:
        if not door.opens(who, password, time.monotonic()):
            fault = (
                "That name and password do not fit. After five wrong tries a name has to wait "
                "five minutes."
            )
            return HTMLResponse(page("sign_in", model=name, fault=fault), 401)
        cookie, _ = sessions.issue(who)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, cookie, max_age=HOURS * 3600, httponly=True, samesite="strict", secure=secure
        )
        return answer

    @app.post("/sign-out")
    def leave(request: Request, token: Annotated[str, Form()]) -> Response:
        session = sessions.read(request.cookies.get(COOKIE))
        if session is not None and not same_token(session, token):
            return _forged()
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE)
        return answer


def _reading(app: FastAPI, sessions: Sessions, desk_of: Desks, name: str) -> None:
    person = Depends(_signed_in(app, sessions))

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "up"}

    @app.get("/")
    def inbox(session: Session = person) -> Response:
        desk = desk_of(session.who)
        try:
            versions, days = pending_versions(desk), quarantined_days(desk)
        except GencoError as error:
            return _says(500, "The store or the ledger needs care", str(error))
        values = {"model": name, "session": session, "versions": versions, "days": days}
        return HTMLResponse(page("inbox", **values))

    @app.get("/versions/{number}")
    def version(number: int, session: Session = person) -> Response:
        found = read_pending(desk_of(session.who), number)
        if found is None:
            return _says(404, "Not here", f"Version {number} was never judged here.")
        return HTMLResponse(_version_page(name, session, found, None))

    @app.get("/versions/{number}/page")
    def shown(number: int, session: Session = person) -> Response:
        content = promotion_page(desk_of(session.who), number)
        if content is None:
            return _says(404, "Not here", f"Version {number} has no promotion page.")
        return HTMLResponse(content, headers={"Content-Security-Policy": SHOWN})


def _deciding(app: FastAPI, sessions: Sessions, desk_of: Desks, name: str) -> None:
    person = Depends(_signed_in(app, sessions))

    @app.post("/versions/{number}")
    def decide(
        number: int,
        token: Annotated[str, Form()],
        action: Annotated[Literal["approve", "reject"], Form()],
        evidence: Annotated[str, Form()],
        reason: Annotated[str, Form()] = "",
        session: Session = person,
    ) -> Response:
        if not same_token(session, token):
            return _forged()
        desk = desk_of(session.who)
        try:
            if action == "approve":
                desk.approve(number, reason, shown=evidence)
            else:
                desk.reject(number, reason)
        except GencoError as error:
            found = read_pending(desk, number)
            if found is None:
                return _says(404, "Not here", str(error))
            status = 409 if error.exit_code == 4 else 400
            return HTMLResponse(_version_page(name, session, found, str(error)), status)
        return RedirectResponse(f"/versions/{number}", 303)


class SignedOut(Exception):
    """The request comes without a session."""


def _signed_in(app: FastAPI, sessions: Sessions) -> Callable[[Request], Session]:
    """A dependency that gives the session, or leads to the sign-in page."""

    @app.exception_handler(SignedOut)
    async def lead(request: Request, error: SignedOut) -> Response:
        return RedirectResponse("/sign-in", 303)

    def session_of(request: Request) -> Session:
        session = sessions.read(request.cookies.get(COOKIE))
        if session is None:
            raise SignedOut
        return session

    return session_of


def _version_page(model: str, session: Session, found: Pending, fault: str | None) -> str:
    return page("version", model=model, session=session, one=found, fault=fault)


def _forged() -> HTMLResponse:
    return _says(403, "Not your form", "The form is not of this session. Open the inbox again.")


def _says(status: int, title: str, text: str) -> HTMLResponse:
    values: dict[str, Any] = {"title": title, "text": text}
    return HTMLResponse(page("message", **values), status)
