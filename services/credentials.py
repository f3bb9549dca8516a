"""The secrets of one root: made once, kept in a file that only its owner can read."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from components.errors import WrongUse
from services.records import read_record

ACCESS, SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class Credentials:
    """The S3 key pair and the password of PostgreSQL's user."""

    access_key: str
    secret_key: str = field(repr=False)
    database_password: str = field(repr=False)


def credentials_file(root: Path) -> Path:
    """Where a root keeps its secrets."""
    return root / "credentials.json"


def kept(root: Path) -> Credentials | None:
    """The secrets kept below a root, None before its first start."""
    fault = "does not hold the three secrets of these services"
    remedy = f"restore it, or say `down` and remove {root} to begin anew"
    return read_record(credentials_file(root), Credentials, fault, remedy)


def ensure(root: Path, environment: Mapping[str, str]) -> Credentials:
    """The secrets kept below a root; at its first start the environment's S3 keys, else new ones.

    Kept ones win later on: what runs and what is stored was made with them.
    """
    return kept(root) or _keep(root, _first(environment))


def _first(environment: Mapping[str, str]) -> Credentials:
    access, secret = environment.get(ACCESS), environment.get(SECRET)
    if bool(access) != bool(secret):
        found, absent = (ACCESS, SECRET) if access else (SECRET, ACCESS)
        raise WrongUse(
            f"{found} is set and {absent} is not; set both to choose the keys of the S3 server, "
            "or neither to have them generated"
        )
    return Credentials(
        access or f"GENCO{secrets.token_hex(8).upper()}",
        secret or secrets.token_urlsafe(30),
        secrets.token_urlsafe(24),
    )


def _keep(root: Path, made: Credentials) -> Credentials:
    draft = credentials_file(root).with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as stream:
        json.dump(asdict(made), stream)
    draft.replace(credentials_file(root))
    return made
