"""A verified webhook -> at most one message and one ledger entry."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from components.adapters.ledger import Ledger
from components.errors import Refused
from components.notify.webhooks import FOUND, Move, check_delivery, is_explained, move_of


@dataclass
class Receiver:
    """One model's ear: its ledger, the secret, and where a message goes."""

    name: str
    secret: str
    ledger: Ledger
    tell: Callable[[str, str], Any]
    clock: Callable[[], datetime]
    seen: set[str] = field(default_factory=set)

    def take(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """What became of it: {explained, message}; Refused where it is forged, stale or repeated."""
        now = self.clock()
        delivery = check_delivery(self.secret, headers, body, now.timestamp())
        entries = self.ledger.entries()
        if delivery in self.seen or any(e.get("delivery") == delivery for e in entries):
            raise Refused(f"delivery {delivery} was taken before; nothing is done twice")
        try:
            move = move_of(json.loads(body))
        except ValueError as error:
            raise Refused("the webhook's body is not JSON; expected MLflow's payload") from error
        told: dict[str, Any] = {"explained": True, "message": None}
        if move is not None and move.name == self.name and not is_explained(move, entries):
            told = {"explained": False, "message": self._report(move, delivery, now)}
        self.seen.add(delivery)
        return told

    def _report(self, move: Move, delivery: str, now: datetime) -> str:
        self.ledger.append(
            FOUND, now, alias=move.alias, moved_to=move.version, delivery=delivery, by="unknown"
        )
        became = "removed" if move.version is None else f"moved to version {move.version}"
        said = (
            f"Alias {move.alias} was {became} in MLflow, which no promotion or rollback in the "
            "ledger explains."
        )
        self.tell(said, "genco doctor --config FILE says what to do")
        return said
