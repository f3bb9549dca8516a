"""A proxy on loopback before a real S3 server, which fails as networks and servers do.

The Host header is passed on as it came, so the client's signature stays good.
"""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Kind = Literal["error", "slow", "torn", "lost", "dropped"]


@dataclass
class Fault:
    """What happens to the next `times` requests of a method whose path holds `path`.

    error: 500, the server never asked; slow: answered after `seconds`; torn: the connection ends
    in the middle of the answer's body; lost: done by the server, the answer never sent;
    dropped: the connection ends before the server is asked.
    """

    kind: Kind
    method: str
    path: str
    times: int = 1
    seconds: float = 1.0


@dataclass
class FaultyS3:
    """The proxy's URL, the faults to come, and what was asked through it."""

    url: str
    server: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.asked.append((method, path))
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.path in path:
                    fault.times -= 1
                    return fault
        return None

    def count(self, method: str, path: str) -> int:
        return sum(m == method and path in asked for m, asked in self.asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    place: FaultyS3

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        return

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.place.next_fault(self.command, self.path)
        kind = None if fault is None else fault.kind
        if kind == "dropped":
            self.close_connection = True
            return
        if kind == "error":
            text = b"<Error><Code>InternalError</Code><Message>as asked</Message></Error>"
            self._answer(500, [("Content-Type", "application/xml")], text, len(text))
            return
        if fault is not None and kind == "slow":
            time.sleep(fault.seconds)
        status, headers, found = self._ask(body)
        if kind == "lost":
            self.close_connection = True
            return
        sent = found[: len(found) // 2] if kind == "torn" else found
        self.close_connection = kind == "torn"
        self._answer(status, headers, sent, len(found))

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.place.server, timeout=30)
        passed = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in passed.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        found = answer.read()
        told = [(k, v) for k, v in answer.getheaders() if k.lower() not in _OWN]
        connection.close()
        return answer.status, [t for t in told if self._may_say(t[0])], found

    def _may_say(self, name: str) -> bool:
        return self.command == "HEAD" or name.lower() != "content-length"

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, length: int
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD" and status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815 (the base's names)


_OWN = {"connection", "transfer-encoding", "expect", "keep-alive"}


@contextmanager
def faulty_s3(server: str) -> Iterator[FaultyS3]:
    """A proxy before `server` (host:port), ended with the block."""
    handler = type("Handler", (_Handler,), {})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    place = FaultyS3(f"http://127.0.0.1:{listening.server_port}", server)
    handler.place = place  # type: ignore[attr-defined]
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield place
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
