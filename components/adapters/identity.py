"""Who acts, as a service proves it: MLflow's signed-in user, an OIDC token's subject, or a name.

The kind stands beside the name in every decision's ledger entry. A name that nobody proved counts
only where no service was asked to prove it.
"""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jwt

from components.errors import Failed, Refused, WrongUse

Kind = Literal["mlflow", "oidc", "inbox", "configured"]
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
CURRENT_USER = "/api/2.0/mlflow/users/current"
TIMEOUT_S = 10


@dataclass(frozen=True)
class Issuer:
    """Whose tokens count: issuer, audience, and its JWKS, a file or an https URL."""

    issuer: str
    audience: str
    jwks: str


@dataclass(frozen=True)
class Person:
    """A name and what stands for it; unproven: why it may not decide, None where it may."""

    name: str
    kind: Kind = "configured"
    unproven: str | None = None


def find_person(
    surroundings: Mapping[str, str],
    named: str | None,
    fallback: str,
    tracking_uri: str,
    issuer: Issuer | None,
) -> Person:
    """The person whom a service vouches for, else `named` (--as), else `fallback`.

    Raises WrongUse for --as beside a service, and Refused for a token or password that is wrong.
    """
    token = surroundings.get("GENCO_ID_TOKEN")
    user = surroundings.get("MLFLOW_TRACKING_USERNAME")
    signed_in = bool(user) and tracking_uri.startswith(("http://", "https://"))
    if named is not None and (token or issuer or signed_in):
        raise WrongUse(
            f"--as {named} does not count where a service says who acts; leave it out and sign in"
        )
    if token:
        return Person(subject_of(token, issuer), "oidc")
    if issuer is not None:
        cause = "no GENCO_ID_TOKEN is set, and the config asks for its issuer's word"
        return Person(fallback, "configured", cause)
    if signed_in and user:
        password = surroundings.get("MLFLOW_TRACKING_PASSWORD", "")
        return Person(current_user(tracking_uri, user, password), "mlflow")
    return Person(named or fallback)


def subject_of(token: str, issuer: Issuer | None) -> str:
    """The subject of a token that the issuer signed for this audience and that has not expired."""
    if issuer is None:
        raise WrongUse("GENCO_ID_TOKEN is set but no issuer is; write identity in the config")
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError(f"it is signed by {header.get('alg')}")
        claims = jwt.decode(
            token,
            _key(issuer, header.get("kid")).key,
            algorithms=[header["alg"]],
            audience=issuer.audience,
            issuer=issuer.issuer,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
    except jwt.PyJWTError as error:
        raise Refused(f"GENCO_ID_TOKEN does not count: {error}; sign in again") from error
    if not claims["sub"].strip():
        raise Refused("GENCO_ID_TOKEN does not count: its subject is empty; sign in again")
    return claims["sub"]


def _key(issuer: Issuer, kid: str | None) -> jwt.PyJWK:
    """The issuer's key of that id; a token without one is read by the only key there is."""
    try:
        keys = jwt.PyJWKSet.from_dict(json.loads(_jwks(issuer.jwks))).keys
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise Failed(f"identity.jwks {issuer.jwks} holds no set of keys: {error}") from error
    fitting = [key for key in keys if kid is None or key.key_id == kid]
    if len(fitting) != 1:
        raise jwt.InvalidKeyError(f"{len(fitting)} of the issuer's keys fit its key id {kid!r}")
    return fitting[0]


def _jwks(place: str) -> bytes:
    if place.startswith("https://"):
        return _fetch(urllib.request.Request(place))
    if "://" in place:
        raise WrongUse(f"identity.jwks is {place}, expected a file or an https URL")
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise Failed(f"identity.jwks {place} can't be read: {error.strerror}") from error


def current_user(tracking_uri: str, user: str, password: str) -> str:
    """The user as MLflow's server names it; Refused where the password is wrong."""
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    place = tracking_uri.rstrip("/") + CURRENT_USER
    answer = _fetch(urllib.request.Request(place, headers={"Authorization": f"Basic {basic}"}))
    try:
        told: Any = json.loads(answer)
        name = told.get("user", told)["username"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failed(f"{place} did not name a user; is MLflow started with its auth?") from error
    if name != user:
        raise Refused(f"MLflow says {name!r} is signed in, not {user!r}; sign in again")
    return name


def _fetch(request: urllib.request.Request) -> bytes:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise Refused(f"{request.full_url} refused user or password; sign in again") from error
        raise Failed(f"{request.full_url} answered {error.code}; who acts is unknown") from error
    except OSError as error:
        raise Failed(f"{request.full_url} can't be reached; who acts is unknown") from error
