"""What people decide: approve, reject, promote, roll back; each decision goes to the ledger.

An approval is bound to the digest of what was shown (the sealed bundle and the decision): when
either is made again the approval is void. It expires, and whoever started the run or was the first
to judge by its limits can't give it.
Only `promote` and `rollback` move the champion. Refusals are recorded like approvals.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from components.adapters.ledger import Ledger
from components.adapters.registry import CHAMPION, PREVIOUS, Registry, Version
from components.adapters.storage import Storage
from components.errors import Refused, WrongUse
from validation.gate.limits import Limits

LIMITS = "limits"
REBASELINED = "rebaselined"


def attempt_of(bundle: str) -> str:
    """The attempt's folder that a sealed bundle lies in."""
    return bundle.rsplit("/", 2)[0]


def decision_path(bundle: str) -> str:
    return f"{attempt_of(bundle)}/gate_promotion/decision.json"


def page_path(version: Version) -> str:
    """The promotion page of a version, beside its decision."""
    return f"{attempt_of(version.bundle)}/gate_promotion/promotion-v{version.number}.html"


def evidence_digest(storage: Storage, bundle: str) -> str:
    """Names exactly what a reviewer was shown: the sealed bundle and the gates' decision."""
    total = hashlib.sha256(storage.read(f"{bundle}/manifest.json"))
    total.update(storage.read(decision_path(bundle)))
    return total.hexdigest()


def limits_digest(limits: Mapping[str, Any]) -> str:
    """Names the limits as a decision holds them."""
    return hashlib.sha256(json.dumps(limits, sort_keys=True).encode()).hexdigest()


def note_limits(ledger: Ledger, limits: Limits, author: str, clock: Callable[[], datetime]) -> None:
    """An entry whenever other limits than before are judged by: who began it can't approve."""
    digest = limits_digest(limits.to_dict())
    known = [entry["limits"] for entry in ledger.entries() if entry["kind"] == LIMITS]
    if not known or known[-1] != digest:
        ledger.append(LIMITS, clock(), by=author, limits=digest)


def limits_by(entries: list[dict[str, Any]], limits: Mapping[str, Any]) -> str | None:
    """Who last introduced these limits; None where the ledger does not tell."""
    digest = limits_digest(limits)
    found = [e["by"] for e in entries if e["kind"] == LIMITS and e["limits"] == digest]
    return found[-1] if found else None


def crowned_since(entries: list[dict[str, Any]], number: int) -> int | None:
    """Another version that became champion after this one was last judged, or None."""
    other = None
    for entry in entries:
        if entry["kind"] == "judged" and entry["version"] == number:
            other = None
        elif entry["kind"] in ("promoted", "rolled back") and entry["version"] != number:
            other = entry["version"]
    return other


class TakenFirst(Exception):
    """Another person's approval stands already."""


def approval_in(entries: list[dict[str, Any]], number: int) -> dict[str, Any] | None:
    """The latest approval of the version that no rejection or new judgement followed."""
    standing = None
    for entry in entries:
        if entry.get("version") == number:
            if entry["kind"] == "approved":
                standing = entry
            elif entry["kind"] in ("rejected", "judged"):
                standing = None
    return standing


@dataclass(frozen=True)
class Desk:
    """One model's decisions, made by one person at one moment.

    identity: what vouches for the name (mlflow, oidc, inbox, configured); unproven: why it can't decide.
    unsound: why a version's stored bundle may not serve, asked before the champion moves.
    """

    storage: Storage
    registry: Registry
    ledger: Ledger
    who: str
    clock: Callable[[], datetime]
    identity: str = "configured"
    unproven: str | None = None
    unsound: Callable[[Version], str | None] = lambda version: None

    def entries(self) -> list[dict[str, Any]]:
        """Every ledger entry, the chain verified."""
        return self.ledger.entries()

    def approve(self, number: int, reason: str, shown: str | None = None) -> dict[str, Any]:
        """The ledger's entry of the approval; Refused (and recorded) where it can't be given.

        `shown` is the digest of the evidence that the reviewer saw, where it is known.
        """
        version = self._version(number)
        decision = json.loads(self.storage.read(decision_path(version.bundle)))
        facts = self._facts(version, reason)
        self._check(number, facts, "approve")
        cause = self._against(decision, facts, shown)
        if cause is not None:
            self._refuse("approve", facts, cause)
        hours = decision["limits"]["person"]["expires_hours"]
        until = (self.clock() + timedelta(hours=hours)).isoformat()

        def first(entries: list[dict[str, Any]]) -> None:
            other = approval_in(entries, number)
            if other and other["by"] != self.who and self._holds(other, facts):
                raise TakenFirst(f"{other['by']} approved it until {other['expires']}")

        try:
            return self.ledger.append("approved", self.clock(), first, expires=until, **facts)
        except TakenFirst as other:
            self._refuse("approve", facts, str(other))

    def _against(
        self, decision: dict[str, Any], facts: dict[str, Any], shown: str | None
    ) -> str | None:
        """Why this person may not approve this decision, None where they may."""
        if decision["verdict"] != "PROMOTE":
            return f"its verdict is {decision['verdict']}, not PROMOTE"
        if decision["author"] == self.who:
            return f"{self.who} started the run; another person must approve"
        if shown is not None and shown != facts["evidence"]:
            return "its evidence was made again since it was shown"
        if limits_by(self.entries(), decision["limits"]) == self.who:
            return f"{self.who} was the first to judge by these limits; another person must approve"
        return None

    def _holds(self, approval: dict[str, Any], facts: dict[str, Any]) -> bool:
        """Whether an approval is of this evidence and has not expired."""
        fresh = datetime.fromisoformat(approval["expires"]) >= self.clock()
        return fresh and approval["evidence"] == facts["evidence"]

    def reject(self, number: int, reason: str) -> dict[str, Any]:
        """The ledger's entry of the rejection; it voids earlier approvals."""
        facts = self._facts(self._version(number), reason)
        self._prove("reject", facts)
        return self.ledger.append("rejected", self.clock(), **facts)

    def promote(self, number: int) -> dict[str, Any]:
        """The version is champion and the one before is previous; Refused without an approval."""
        version = self._version(number)
        facts = self._facts(version, "promotion")
        self._check(number, facts, "promote")
        approval = self.standing(number)
        if approval is None:
            self._refuse(
                "promote", facts, "nobody approved it since it was last judged or rejected"
            )
        elif approval["evidence"] != facts["evidence"]:
            self._refuse("promote", facts, "its evidence changed after the approval")
        elif datetime.fromisoformat(approval["expires"]) < self.clock():
            self._refuse("promote", facts, f"the approval expired at {approval['expires']}")
        return self._crown(version, "promoted", facts)

    def rollback(self, to: str, reason: str) -> dict[str, Any]:
        """A version that once was champion is champion again."""
        if to == "previous":
            found = self.registry.alias(PREVIOUS)
            if found is None:
                raise Refused("there is no previous champion to roll back to; name a version")
        else:
            if not to.isdigit():
                raise WrongUse(f"--to takes previous or a version's number, found {to!r}")
            found = self._version(int(to))
        crowned = {e["version"] for e in self.entries() if e["kind"] in ("promoted", "rolled back")}
        facts = self._facts(found, reason)
        self._prove("rollback", facts)
        if found.number not in crowned:
            self._refuse("rollback", facts, "it never was champion; it needs an approval")
        return self._crown(found, "rolled back", facts)

    def rebaseline(self, reason: str) -> dict[str, Any]:
        """The ledger's entry that a champion which can't be read need not be compared with."""
        champion = self.registry.alias(CHAMPION)
        if champion is None:
            raise WrongUse(
                "--rebaseline: there is no champion, so the log is what is compared with"
            )
        if not reason.strip():
            raise WrongUse("--rebaseline needs a written reason")
        facts = {"by": self.who, "identity": self.identity, "reason": reason}
        self._prove("rebaseline", {"version": champion.number, **facts})
        return self.ledger.append(REBASELINED, self.clock(), champion=champion.number, **facts)

    def _crown(self, version: Version, kind: str, facts: dict[str, Any]) -> dict[str, Any]:
        fault = self.unsound(version)
        if fault is not None:
            self._refuse("promote" if kind == "promoted" else "rollback", facts, fault)
        champion = self.registry.alias(CHAMPION)
        was = champion.number if champion is not None else None
        entry = self.ledger.append(kind, self.clock(), before=was, **facts)
        if was is not None and was != version.number:
            self.registry.point(PREVIOUS, was)
        self.registry.point(CHAMPION, version.number)
        return entry

    def _version(self, number: int) -> Version:
        version = self.registry.get(number)
        if version is None:
            raise WrongUse(f"version {number} is not registered; `genco run` prints the version")
        if not self.storage.exists(decision_path(version.bundle)):
            raise Refused(f"version {number} was never judged; run its day to the end first")
        return version

    def _facts(self, version: Version, reason: str) -> dict[str, Any]:
        if not reason.strip():
            raise WrongUse("a decision needs a written --reason")
        return {
            "version": version.number,
            "by": self.who,
            "identity": self.identity,
            "reason": reason,
            "evidence": evidence_digest(self.storage, version.bundle),
        }

    def standing(self, number: int) -> dict[str, Any] | None:
        """The approval that would be used now, or None; it may have expired since."""
        return approval_in(self.entries(), number)

    def _check(self, number: int, facts: dict[str, Any], action: str) -> None:
        """Refuses where who acts is unproven, and where another was crowned since it was judged."""
        self._prove(action, facts)
        after = crowned_since(self.entries(), number)
        if after is not None:
            self._refuse(
                action,
                facts,
                f"it is superseded: version {after} became champion after it was judged; "
                "run its day again",
            )

    def _prove(self, action: str, facts: dict[str, Any]) -> None:
        if self.unproven is not None:
            self._refuse(action, facts, f"who acts is not proven: {self.unproven}")

    def _refuse(self, action: str, facts: dict[str, Any], cause: str) -> NoReturn:
        self.ledger.append("refused", self.clock(), action=action, cause=cause, **facts)
        raise Refused(
            f"{action} of version {facts['version']} is refused: {cause}; the refusal is recorded "
            "in the ledger"
        )
