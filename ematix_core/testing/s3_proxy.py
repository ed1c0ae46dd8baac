"""An HTTP proxy before an S3 server that passes requests on unchanged, or does a fault instead."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from ematix_core.testing.s3_requests import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

_PIECE = 1 << 18
_SERVER_SECONDS = 120
# They are about one connection, not about the request: https://www.rfc-editor.org/rfc/rfc9110.html#section-7.6.1
# Expect is answered here, by http.server.
_OF_A_CONNECTION = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect"}


@dataclass(frozen=True)
class Answer:
    """The server is not asked; the client gets this status with S3's error document."""

    status: int
    code: str
    message: str = "injected by a test"


@dataclass(frozen=True)
class Drop:
    """The server is not asked, and the connection ends without an answer: the request did not happen."""


@dataclass(frozen=True)
class LoseAnswer:
    """The server does what is asked, and the connection ends without an answer: the client cannot know."""


@dataclass(frozen=True)
class CutBody:
    """The answer's head is right, and the connection ends after so many bytes of the body, or all if it is shorter."""

    after: int


@dataclass(frozen=True)
class Hang:
    """Nothing happens for so many seconds; then the request goes on, even if the client has given up by then."""

    seconds: float


Fault = Answer | Drop | LoseAnswer | CutBody | Hang


class Proxy(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1. `arrived` is told each request and says which fault it meets."""

    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, behind: SplitResult, arrived: Callable[[Request], Fault | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = behind
        self.arrived = arrived
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection to the server: an old one that it closes just now would fail a request by itself."""
        kind = http.client.HTTPSConnection if self.behind.scheme == "https" else http.client.HTTPConnection
        return kind(self.behind.hostname or "", self.behind.port, timeout=_SERVER_SECONDS)

    def close(self) -> None:
        """Stop, end all connections and wait for their threads."""
        self.closing.set()
        self.shutdown()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as typeshed has it
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as typeshed has it
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as typeshed has it
        """Say nothing of a side that went away: faults make clients do that, and tests kill servers."""
        if not isinstance(sys.exception(), ConnectionError | http.client.HTTPException):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, with any number of requests."""

    server: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out in two pieces, and the second one would wait 40 ms

    def _handle(self) -> None:
        request = Request.parse(self.command, self.path, self.headers)
        fault = self.server.arrived(request)
        if isinstance(fault, Hang) and self.server.closing.wait(fault.seconds):
            self.close_connection = True
            return
        body = self._body(request)
        if isinstance(fault, Answer | Drop):
            for _ in body:
                pass
            if isinstance(fault, Answer):
                self._refuse(fault, request)
            else:
                self.close_connection = True
            return
        server = self.server.connect()
        try:
            self._ask(server, body)
            answer = server.getresponse()
            if isinstance(fault, LoseAnswer):
                answer.read()
                self.close_connection = True
            else:
                self._pass_on(answer, request, cut=fault.after if isinstance(fault, CutBody) else None)
        finally:
            server.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - names that http.server looks for

    def _body(self, request: Request) -> Iterator[bytes]:
        """Yield the client's body in pieces, chunked ones with what frames them, so that they can go on as they are."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while True:
                if not (line := self.rfile.readline()):
                    raise ConnectionError("the client went away within its request")
                size = int(line.partition(b";")[0], 16)
                if not size:
                    break
                request.body += size
                yield line + self.rfile.read(size) + self.rfile.readline()
            while line not in {b"\r\n", b""}:  # trailers, and the empty line after them
                yield line
                line = self.rfile.readline()
            yield line
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            if not (piece := self.rfile.read(min(left, _PIECE))):
                raise ConnectionError("the client went away within its request")
            left -= len(piece)
            request.body += len(piece)
            yield piece

    def _ask(self, server: http.client.HTTPConnection, body: Iterator[bytes]) -> None:
        """Send the request on, with the header Host that the client signed."""
        server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _OF_A_CONNECTION:
                server.putheader(name, value)
        server.endheaders()
        for piece in body:
            server.send(piece)

    def _pass_on(self, answer: http.client.HTTPResponse, request: Request, *, cut: int | None) -> None:
        """Send the answer to the client, to its end or up to `cut` bytes of the body."""
        request.status = answer.status
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_A_CONNECTION | {"transfer-encoding"}:
                self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status in {204, 304}
        chunked = not bodiless and answer.length is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        first = _first_byte(answer, request)
        sent = 0
        while not bodiless and sent != cut:
            if not (piece := answer.read1(_PIECE if cut is None else min(_PIECE, cut - sent))):
                break
            sent += len(piece)
            if first is not None:  # noted before it goes out: the client may look as soon as it has it
                request.read = range(first, first + sent)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if cut is not None or answer.length:  # cut by us, or by a server that ended
            self.close_connection = True
        elif chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, answer: Answer, request: Request) -> None:
        request.status = answer.status
        document = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(answer.code)}</Code><Message>{escape(answer.message)}</Message>"
            f"<Resource>{escape(self.path)}</Resource><RequestId>INJECTED</RequestId></Error>"
        ).encode()
        self.send_response_only(answer.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(document)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
        """Write nothing to stderr: tests read `requests`."""


def _first_byte(answer: http.client.HTTPResponse, request: Request) -> int | None:
    """Return the position in the object of the body's first byte; None if the body is no part of an object."""
    if request.method != "GET" or not request.key:
        return None
    if answer.status == http.HTTPStatus.OK:
        return 0
    found = re.match(r"bytes (\d+)-", answer.getheader("Content-Range", ""))
    return int(found[1]) if answer.status == http.HTTPStatus.PARTIAL_CONTENT and found else None
