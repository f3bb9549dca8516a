"""Signed cookies: who is signed in, and the token that every form must carry back."""

import hmac
import secrets
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeTimedSerializer

COOKIE = "genco_session"
HOURS = 8


@dataclass(frozen=True)
class Session:
    """A signed-in person and the session's form token."""

    who: str
    token: str


class Sessions:
    """Issues and reads cookies; the key lives as long as the process, so a restart signs all out."""

    def __init__(self, key: str | None = None) -> None:
        self._signer = URLSafeTimedSerializer(key or secrets.token_urlsafe(32), salt="inbox")

    def issue(self, who: str) -> tuple[str, Session]:
        """(cookie, session)."""
        session = Session(who, secrets.token_urlsafe(24))
        return self._signer.dumps([session.who, session.token]), session

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie, None where it is absent, forged or too old."""
        if not cookie:
            return None
        try:
            who, token = self._signer.loads(cookie, max_age=HOURS * 3600)
        except (BadSignature, ValueError):
            return None
        return Session(who, token)


def same_token(session: Session, given: str) -> bool:
    """Whether a form came from this session's own page."""
    return hmac.compare_digest(session.token.encode(), given.encode())
