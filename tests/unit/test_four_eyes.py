"""Who acts is proven by a key, and an older judgement is superseded by a later champion."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from small_shop import write_config

from components.adapters.identity import CURRENT_USER, Issuer, Person, find_person
from components.errors import Failed, Refused, WrongUse
from components.promotion import crowned_since
from pipelines.config import load_config
from pipelines.running import make_plan

KEY = ec.generate_private_key(ec.SECP256R1())
CLAIMS = {"iss": "https://id", "aud": "genco", "sub": "ana", "exp": 4_000_000_000}


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
    place = tmp_path / "jwks.json"
    place.write_text(json.dumps({"keys": [{**public, "kid": "one", "use": "sig"}]}))
    return Issuer("https://id", "genco", str(place))


def acting(issuer: Issuer | None, token: str | None, named: str | None = None) -> Person:
    given = {} if token is None else {"GENCO_ID_TOKEN": token}
    return find_person(given, named, "login", "sqlite://", issuer)


def signed(**changes) -> str:
    return jwt.encode({**CLAIMS, **changes}, KEY, algorithm="ES256", headers={"kid": "one"})


def test_a_signed_token_names_its_subject(issuer: Issuer) -> None:
    assert acting(issuer, signed()) == Person("ana", "oidc")


@pytest.mark.parametrize("changes", [{"aud": "x"}, {"iss": "x"}, {"exp": 1}, {"sub": " "}])
def test_a_token_for_others_or_expired_is_refused(issuer: Issuer, changes: dict) -> None:
    with pytest.raises(Refused):
        acting(issuer, signed(**changes))


@pytest.mark.parametrize(("key", "how"), [("k" * 32, "HS256"), (None, "none")])
def test_a_symmetric_or_unsigned_token_is_refused(issuer: Issuer, key: str, how: str) -> None:
    with pytest.raises(Refused, match="signed by"):
        acting(issuer, jwt.encode(CLAIMS, key, algorithm=how))


def test_a_name_counts_only_without_a_service(issuer: Issuer) -> None:
    assert acting(None, None, "bo") == Person("bo")
    assert acting(issuer, None).unproven
    with pytest.raises(WrongUse, match="--as"):
        acting(issuer, None, "bo")


def test_a_later_champion_supersedes_until_the_version_is_judged_again() -> None:
    judged, other = {"kind": "judged", "version": 1}, {"kind": "promoted", "version": 2}
    assert crowned_since([judged, other], 1) == 2
    assert crowned_since([judged, other, judged], 1) is None


class Users(BaseHTTPRequestHandler):
    """MLflow's answer to who is signed in: ana, by her password alone."""

    def do_GET(self) -> None:
        right = "Basic " + base64.b64encode(b"ana:secret").decode()
        known = self.path == CURRENT_USER and self.headers["Authorization"] == right
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b'{"user": {"username": "ana"}}' if known else b"")

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Users) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_mlflows_server_vouches_for_its_signed_in_user_and_no_other(server: str) -> None:
    given = {"MLFLOW_TRACKING_USERNAME": "ana", "MLFLOW_TRACKING_PASSWORD": "secret"}
    assert find_person(given, None, "login", server, None) == Person("ana", "mlflow")
    with pytest.raises(WrongUse, match="sign in"):
        find_person(given, "ben", "login", server, None)
    with pytest.raises(Refused, match="password"):
        find_person({**given, "MLFLOW_TRACKING_PASSWORD": "x"}, None, "login", server, None)


def test_keys_that_are_none_are_told(issuer: Issuer) -> None:
    Path(issuer.jwks).write_text("[]")
    with pytest.raises(Failed, match="no set of keys"):
        acting(issuer, signed())


def test_a_run_is_not_started_by_somebody_unproven(issuer: Issuer, tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        str(tmp_path / "store"),
        f"identity: {{issuer: 'https://id', audience: genco, jwks: '{issuer.jwks}'}}\n",
    )
    with pytest.raises(Refused, match="not proven"):
        make_plan(load_config(config))
