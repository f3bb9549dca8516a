"""MLflow's signed webhooks: what the ledger does not explain is told once; the rest is refused."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from mlflow.webhooks.delivery import _generate_hmac_signature

from components.adapters.ledger import Ledger
from components.adapters.storage import open_storage
from components.notify.receiving import Receiver
from components.notify.webhooks import DELIVERY, LARGEST, SIGNATURE, TIMESTAMP, WINDOW
from pipelines.listening import application

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "a shared secret"


class Ear:
    """A listening application over a real ledger, and the messages that it sent."""

    def __init__(self, root: Path) -> None:
        self.ledger = Ledger(open_storage(str(root)), "shop")
        self.ledger.append("registered", NOW, version=1)
        self.ledger.append("promoted", NOW, version=1, by="anna", before=None)
        self.messages: list[str] = []

        def tell(said: str, next_command: str) -> None:
            self.messages.append(f"{said} {next_command}")

        self.http = TestClient(
            application(Receiver("shop", SECRET, self.ledger, tell, lambda: NOW))
        )

    def moved(self, version: int | None, delivery: str = "d1", **changes: object):
        """A delivery as MLflow signs it: alias champion moved to a version, or removed."""
        told = {
            "entity": "model_version_alias",
            "action": "created" if version else "deleted",
            "timestamp": NOW.isoformat(),
            "data": {"name": "shop", "alias": "champion", "version": version and str(version)},
        }
        body = changes.pop("body", None) or json.dumps(told)
        at = str(changes.pop("at", int(NOW.timestamp())))
        signature = _generate_hmac_signature(SECRET, delivery, at, body)
        headers = {SIGNATURE: signature, TIMESTAMP: at, DELIVERY: delivery, **changes}
        return self.http.post("/mlflow", content=body, headers=headers)


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(tmp_path)


def test_a_move_that_the_ledger_explains_is_no_news(ear: Ear) -> None:
    assert ear.moved(1).json() == {"explained": True, "message": None}
    assert ear.messages == []
    assert len(ear.ledger.entries()) == 2


@pytest.mark.parametrize("version", [7, None])
def test_a_move_by_hand_is_told_and_recorded_once(ear: Ear, version: int | None) -> None:
    assert ear.moved(version).json()["explained"] is False
    assert len(ear.messages) == 1
    assert "genco doctor" in ear.messages[0]
    entry = ear.ledger.entries()[-1]
    assert (entry["kind"], entry["alias"], entry["moved_to"]) == (
        "alias moved",
        "champion",
        version,
    )
    assert ear.moved(version).status_code == 401  # the same delivery again
    assert len(ear.messages) == 1


def test_forged_stale_large_and_senseless_deliveries_are_refused(ear: Ear) -> None:
    late = int(NOW.timestamp()) - WINDOW - 1
    assert ear.moved(7, **{SIGNATURE: "v1,AAAA"}).status_code == 401
    assert ear.moved(7, at=late).status_code == 401
    assert ear.moved(7, **{TIMESTAMP: "tomorrow"}).status_code == 401
    assert ear.moved(7, body="x" * (LARGEST + 1)).status_code == 413
    assert ear.moved(7, body="no json").status_code == 401
    nameless = json.dumps({"entity": "model_version_alias", "data": {}})
    assert ear.moved(7, body=nameless).status_code == 401
    assert ear.messages == []
    assert len(ear.ledger.entries()) == 2


def test_other_models_and_other_events_are_none_of_our_business(ear: Ear) -> None:
    other = {"entity": "model_version_alias", "action": "created"}
    data = {"name": "another", "alias": "champion", "version": "3"}
    assert ear.moved(7, body=json.dumps({**other, "data": data})).json()["explained"] is True
    assert ear.moved(7, delivery="d2", body='{"entity": "registered_model"}').status_code == 200
    assert ear.messages == []
