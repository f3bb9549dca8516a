"""A message is handed to a webhook and to a mail server, or Failed says which did not take it."""

import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from components.day import Frozen
from components.errors import Failed
from components.notify.message import Message, mail_of, slack_payload


class Mail(Frozen):
    """A mail server, who writes and to whom; password_env names the variable with the password.

    tls: starttls (port 587), tls from the first byte (465), or none; ca_file: whose certificates
    count, else the system's. A password is never sent without TLS.
    """

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str | None = None
    user: str | None = None
    password_env: str = "GENCO_SMTP_PASSWORD"
    sender: str
    to: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout_s: Annotated[float, Field(gt=0)] = 10

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> "Mail":
        if self.user is not None and self.tls == "none":
            raise ValueError("user with tls: none would send the password in the clear")
        return self


def send_webhook(url: str, message: Message) -> None:
    """The webhook took the message, or Failed, without the secret that the URL holds."""
    body = json.dumps(slack_payload(message)).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        raise _webhook_failed(url, f"it answered {error.code}") from error
    except (OSError, ValueError) as error:
        raise _webhook_failed(url, str(getattr(error, "reason", "it is no URL"))) from error


def _webhook_failed(url: str, why: str) -> Failed:
    host = urlsplit(url).hostname or "which names no host"
    return Failed(
        f"the notification webhook ({host}) did not take the message: {why}; see "
        "docs/runbook.md#message-not-sent"
    )


def send_mail(mail: Mail, message: Message) -> None:
    """The mail server took the message for every recipient, or Failed."""
    try:
        with _connected(mail) as server:
            if mail.user is not None:
                server.login(mail.user, _password(mail))
            missed = server.send_message(mail_of(message, mail.sender, mail.to))
    except (smtplib.SMTPException, OSError) as error:
        raise _mail_failed(mail, _cause(error)) from error
    if missed:
        raise _mail_failed(mail, f"it refused {', '.join(sorted(missed))}")


def _connected(mail: Mail) -> smtplib.SMTP:
    if mail.tls == "none":
        return smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout_s)
    trust = ssl.create_default_context(cafile=mail.ca_file)
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=mail.timeout_s, context=trust)
    server = smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout_s)
    try:
        server.starttls(context=trust)
    except (smtplib.SMTPException, OSError):
        server.close()
        raise
    return server


def _password(mail: Mail) -> str:
    password = os.environ.get(mail.password_env, "")
    if not password:
        raise Failed(f"{mail.password_env} is not set; notify.mail.user needs its password there")
    return password


def _cause(error: Exception) -> str:
    said: Any = getattr(error, "smtp_error", None)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _mail_failed(mail: Mail, why: str) -> Failed:
    return Failed(
        f"the mail server {mail.host}:{mail.port} did not take the message: {why}; see "
        "docs/runbook.md#message-not-sent"
    )
