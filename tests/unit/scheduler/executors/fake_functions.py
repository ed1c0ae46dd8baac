"""HTTP servers on a port of this machine that stand for functions: of one's own, and AWS Lambda's endpoint."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from ematix_core.scheduler.executors.perform import perform
from ematix_core.scheduler.protocols import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, bytes | None]
"""Status and body; without a body, the connection is cut."""


@dataclass
class Server:
    """What a server was asked, and what it answers: to each request the next answer, then the last one again."""

    answers: list[Answer | Callable[[dict[str, Any]], Answer]]
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answer_headers: dict[str, str] = field(default_factory=dict)
    url: str = ""
    tasks: list[threading.Thread] = field(default_factory=list)

    def next_answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        """Take a request down and return what it is answered with."""
        answer = self.answers[min(len(self.bodies), len(self.answers) - 1)]
        self.paths.append(path)
        self.headers.append(headers)
        self.bodies.append(body)
        return answer(body) if callable(answer) else answer


class _Handler(BaseHTTPRequestHandler):
    server_: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, data = self.server_.next_answer(self.path, dict(self.headers), body)
        if data is None:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        for name, value in self.server_.answer_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of connections that were cut on purpose."""


@contextmanager
def serving(*answers: Answer | Callable[[dict[str, Any]], Answer]) -> Iterator[Server]:
    """Serve these answers while the block lasts."""
    served = Server(list(answers))
    server = _QuietServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_": served}))
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        for thread in served.tasks:
            thread.join()


def carry_out(body: dict[str, Any]) -> Answer:
    """Answer as a function that carries the task out does."""
    return 200, json.dumps(perform(Task.from_dict(body)).to_dict()).encode()


def ending(status: str | None, reason: str = "") -> Answer:
    """Answer with an ending."""
    return 200, json.dumps({"status": status, "reason": reason}).encode()
