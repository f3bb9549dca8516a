"""A webhook and a mail server on loopback that keep what they are given; TLS by a key made here."""

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass
class Webhook:
    url: str = ""
    status: int = 200
    taken: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class MailServer:
    """tls: starttls, tls or none; accounts: user -> password, empty where nobody signs in."""

    tls: str
    certificate: Path
    port: int = 0
    accounts: dict[str, str] = field(default_factory=dict)
    refuse: set[str] = field(default_factory=set)
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield cast(tuple, server.server_address)[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def webhook() -> Iterator[Webhook]:
    state = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            return

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if state.status == 200:
                state.taken.append(json.loads(content))
            self.send_response(state.status)
            self.end_headers()
            self.wfile.write(b"ok")

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        state.url = f"http://127.0.0.1:{port}/services/T0/SECRET"
        yield state


class Conversation(socketserver.StreamRequestHandler):
    """SMTP as RFC 5321, 3207 (STARTTLS) and 4954 (AUTH PLAIN) have it, and no more."""

    def setup(self) -> None:
        self.state: MailServer = self.server.state  # type: ignore[attr-defined]
        self.context: ssl.SSLContext = self.server.context  # type: ignore[attr-defined]
        self.is_secure = self.state.tls == "tls"
        self.signed_in = False
        if self.is_secure:
            self.request = self.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
        self.wfile.flush()

    def handle(self) -> None:
        self.to: list[str] = []
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper().split(":")[0]
            if word == "QUIT":
                return self.say("221 bye")
            getattr(self, f"on_{word.lower()}", self.on_other)(line)

    def on_ehlo(self, line: str) -> None:
        offers = ["250-here"]
        if self.state.tls == "starttls" and not self.is_secure:
            offers.append("250-STARTTLS")
        if self.state.accounts:
            offers.append("250-AUTH PLAIN")
        for offer in [*offers, "250 SIZE 1000000"]:
            self.say(offer)

    def on_starttls(self, line: str) -> None:
        self.say("220 go ahead")
        self.request = self.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb")
        self.is_secure = True

    def on_auth(self, line: str) -> None:
        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        self.signed_in = self.state.accounts.get(user) == password
        self.say("235 welcome" if self.signed_in else "535 5.7.8 wrong user or password")

    def on_mail(self, line: str) -> None:
        is_known = self.signed_in or not self.state.accounts
        self.say("250 ok" if is_known else "530 5.7.0 sign in first")

    def on_rcpt(self, line: str) -> None:
        address = line.split("<")[1].split(">")[0]
        if address in self.state.refuse:
            return self.say("550 5.1.1 no such mailbox")
        self.to.append(address)
        self.say("250 ok")

    def on_data(self, line: str) -> None:
        self.say("354 go on")
        lines = []
        while (part := self.rfile.readline()) != b".\r\n":
            lines.append(part.removeprefix(b"."))
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        self.state.taken.append((self.to, cast(EmailMessage, mail)))
        self.state.secured.append(self.is_secure)
        self.say("250 taken")

    def on_other(self, line: str) -> None:
        self.say("250 ok" if line.upper().startswith(("RSET", "NOOP", "HELO")) else "502 what?")


class Quiet(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a client that mistrusts the certificate hangs up


@contextmanager
def mail_server(folder: Path, tls: str = "starttls") -> Iterator[MailServer]:
    """A mail server for the block; `certificate` is the file that a client must trust."""
    certificate, key = self_signed(folder)
    state = MailServer(tls, certificate)
    server = Quiet(("127.0.0.1", 0), Conversation)
    server.state = state  # type: ignore[attr-defined]
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # type: ignore[attr-defined]
    server.context.load_cert_chain(certificate, key)  # type: ignore[attr-defined]
    with served(server) as port:
        state.port = port
        yield state


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Files of a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "mail.pem", folder / "mail.key"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private
