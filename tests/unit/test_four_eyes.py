"""Who acts is proven by a key, and an older judgement is superseded by a later champion."""

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from components.adapters.identity import Issuer, Person, find_person
from components.errors import Refused, WrongUse
from components.promotion import crowned_since

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
