"""What notify says: one message, its page of the runbook, and its form for a webhook and for mail."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any

from components.adapters.clock import now

RUNBOOK = "docs/runbook.md"
SECTIONS: Mapping[str, str] = {
    "BLOCKED": "blocked-day",
    "HOLD": "held",
    "REJECT": "rejected",
    "PROMOTE": "approve-and-promote",
    "FAILED": "failed",
    "DONE": "done",
    "PROMOTED": "promoted",
    "ROLLED BACK": "rollback",
    "ALIAS MOVED": "alias-moved",
}
RUNS = frozenset({"BLOCKED", "HOLD", "REJECT", "PROMOTE", "FAILED", "DONE"})
HEADLINES: Mapping[str, str] = {
    "BLOCKED": "data blocked",
    "HOLD": "held",
    "REJECT": "rejected",
    "PROMOTE": "awaits approval",
    "FAILED": "failed",
    "DONE": "done",
    "PROMOTED": "promoted",
    "ROLLED BACK": "rolled back",
    "ALIAS MOVED": "alias moved",
}
LONGEST = 600  # characters of a cause; the pages hold the rest


@dataclass(frozen=True)
class Message:
    """One message: links are (label, URL); next_command is what a person does now."""

    name: str
    ds: str
    status: str
    cause: str
    next_command: str
    version: int | None = None
    links: tuple[tuple[str, str], ...] = ()

    @property
    def subject(self) -> str:
        number = "" if self.version is None else f", version {self.version}"
        return f"{self.name} {self.ds}: {self.status} ({HEADLINES[self.status]}{number})"

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK}#{SECTIONS[self.status]}"

    def digest(self) -> str:
        """Names what a reader would see as the same message sent again."""
        told = [self.name, self.ds, self.status, self.cause, self.version]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def text(self) -> str:
        """The message in lines: what, why, where to look, what to do."""
        lines = [self.subject, one_line(self.cause)]
        lines += [f"{label}: {link}" for label, link in self.links]
        lines += [f"Next: {one_line(self.next_command)}", f"Runbook: {self.runbook}"]
        return "\n".join(line for line in lines if line)


def one_line(text: str) -> str:
    """The text in one line, cut where it is too long to read."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}…"


def slack_payload(message: Message) -> dict[str, Any]:
    """What a Slack-compatible webhook takes; nothing in it can call a channel or hide a link."""
    said = escaped(message.text())
    told = {"ds": message.ds, "status": message.status, "name": message.name}
    number = {} if message.version is None else {"version": message.version}
    return {
        "text": said,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": said[:3000]}}],
        "metadata": {"event_type": "genco", "event_payload": {**told, **number}},
    }


def escaped(text: str) -> str:
    """Slack's three control characters as it wants them written."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mail_of(message: Message, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """The message as an e-mail in plain text; a cause can't add a header or a recipient."""
    mail = EmailMessage()
    mail["Subject"] = one_line(message.subject)
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(now())
    mail["Message-ID"] = make_msgid(idstring=message.digest(), domain="genco")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text() + "\n")
    return mail
