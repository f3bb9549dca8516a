"""MLflow's signed webhooks: is it MLflow that speaks, now, once, and does the ledger know?

Scheme of MLflow 3.17 (mlflow/webhooks/delivery.py): X-MLflow-Signature is "v1," and the base64
of HMAC-SHA256 over "delivery-id.timestamp.body" with the shared secret.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.doctor.serving import expected_aliases
from components.errors import Refused

SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
WINDOW = 300  # seconds that a delivery may be old, or ahead of our clock
LARGEST = 64 * 1024
ENTITY = "model_version_alias"
FOUND = "alias moved"


@dataclass(frozen=True)
class Move:
    """An alias as MLflow says it was set (version) or removed (None)."""

    name: str
    alias: str
    version: int | None


def signed(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """The header that MLflow sends for this body."""
    content = f"{delivery}.{timestamp}.".encode() + body
    made = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"


def check_delivery(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The delivery's id; Refused where it is too large, too old, or not signed with the secret."""
    if len(body) > LARGEST:
        raise Refused(f"the webhook's body has {len(body)} bytes, at most {LARGEST} are read")
    delivery, timestamp = headers.get(DELIVERY, ""), headers.get(TIMESTAMP, "")
    given = headers.get(SIGNATURE, "")
    if not delivery or not (timestamp.isascii() and timestamp.isdigit()):
        raise Refused("the webhook names no delivery or time; expected MLflow's signed headers")
    expected = signed(secret, delivery, timestamp, body)
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise Refused("the webhook's signature is wrong; compare the secret with MLflow's")
    if abs(now - int(timestamp)) > WINDOW:
        raise Refused(f"the webhook is more than {WINDOW} s off our clock: an old one sent again?")
    return delivery


def move_of(told: Any) -> Move | None:
    """The alias that a payload tells of, None where it tells of something else."""
    if not isinstance(told, dict) or told.get("entity") != ENTITY:
        return None
    inner = told.get("data")
    if not isinstance(inner, dict) or not {"name", "alias"} <= set(inner):
        raise Refused("the webhook's data names no model and alias; expected MLflow's payload")
    version = inner.get("version") if told.get("action") != "deleted" else None
    if version is not None and not str(version).isdigit():
        raise Refused(f"the webhook names version {version!r}; expected a number")
    return Move(str(inner["name"]), str(inner["alias"]), None if version is None else int(version))


def is_explained(move: Move, entries: Sequence[dict[str, Any]]) -> bool:
    """Whether the ledger knows of this: a promotion, a rollback, a registration."""
    told = expected_aliases(entries)
    if move.alias == "champion":
        return move.version == told.champion
    if move.alias == "previous":
        return move.version == told.previous
    if move.alias == "challenger":
        return any(e["kind"] == "registered" and e["version"] == move.version for e in entries)
    return True  # other aliases are no business of ours
