"""Real receivers of alerts: HTTP and SMTP servers in threads of this process."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from ematix_core.observe.alert import Alert, AlertKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    import pytest
    from aiosmtpd.smtp import SMTP, Envelope, Session

    from tools.servers.tls import Tls

AT = datetime(2026, 1, 31, 2, 0, 5, tzinfo=UTC)
SECRET = "hunter2/@:"  # noqa: S105 - of a server in this process


def failure(**changes: object) -> Alert:
    """Return an alert of a failed workflow."""
    fields: dict[str, Any] = {
        "kind": AlertKind.FAILURE, "unit": "nightly", "at": AT, "title": "nightly failed",
        "text": "job revenue: no such column\n  SELECT <b> & *c*", "run_id": "20260131T020000-1a2b3c4d",
        "job": "revenue", "tags": ("crm",), "owner": "ann",
    }  # fmt: skip
    return Alert(**fields | changes)


def recovery(*ends: AlertKind) -> Alert:
    """Return the alert that says that those are over."""
    return failure(kind=AlertKind.RECOVERY, title="nightly has recovered", text="", job="", ends=ends)


@dataclass
class Receiver:
    """What an HTTP server got, and what it answers: `answers` in turn, the last one again and again."""

    url: str = ""
    answers: list[tuple[int, str]] = field(default_factory=lambda: [(200, "ok")])
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)
    """Cleared, it lets requests wait for their answer."""
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def documents(self) -> list[Any]:
        """The documents that were posted."""
        return [document for _, _, document in self.requests]

    def answer(self) -> tuple[int, str]:
        """Return status and text of the next answer."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def http_receiver(tls: Tls | None = None) -> Iterator[Receiver]:
    """Serve HTTP, or HTTPS, on a port of its own until the block ends."""
    receiver = Receiver()
    receiver.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, dict(self.headers), json.loads(body)))
            receiver.came.release()
            receiver.answering.wait(30)
            status, text = receiver.answer()
            with suppress(ConnectionError):  # who posted does not wait for all of it
                self.send_response(status)
                self.send_header("Location", receiver.url)
                self.end_headers()
                self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = _context(tls).wrap_socket(server.socket, server_side=True)
    host = "https://localhost" if tls else "http://127.0.0.1"
    receiver.url = f"{host}:{server.server_port}/services/T0/B0/xyzzy"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """What an SMTP server got, and whom it refuses."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """What is answered for a recipient, such as `550 no such user`."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep the mail."""
        parsed = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
        self.mails.append(parsed)
        self.envelopes.append((envelope.mail_from or "", envelope.rcpt_tos))
        return "250 OK"

    def login(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
        """Let in whoever knows the secret."""
        if not isinstance(data, LoginPassword) or data.password != SECRET.encode():
            return AuthResult(success=False, handled=False)
        self.users.append(data.login.decode())
        return AuthResult(success=True)


@contextmanager
def smtp_receiver(security: str = "none", tls: Tls | None = None) -> Iterator[Mailbox]:
    """Serve SMTP on a port of its own until the block ends; whoever logs in has to know the secret."""
    box = Mailbox(port=_free_port())
    options: dict[str, Any] = {"authenticator": box.login, "auth_require_tls": False}
    if tls and security == "starttls":
        options |= {"tls_context": _context(tls), "require_starttls": True}
    if tls and security == "ssl":
        options |= {"ssl_context": _context(tls)}
    server = Controller(box, hostname="127.0.0.1", port=box.port, **options)
    server.start()
    try:
        yield box
    finally:
        server.stop()


def silent_port() -> tuple[socket.socket, int]:
    """Return a socket that takes connections and never says anything, and its port."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening, listening.getsockname()[1]


def closed_port() -> int:
    """Return a port on which nobody listens."""
    return _free_port()


def trust(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """Make this authority the one that certificates are checked against."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    return context
