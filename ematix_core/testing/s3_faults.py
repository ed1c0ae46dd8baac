"""An S3 server that fails on demand: a proxy before a real one, which also tells what was asked and read.

```
with S3Faults("http://127.0.0.1:9000") as faults:
    rule = faults.add(SLOW_DOWN, times=3, method="PUT", key="parquet$")
    ...  # a client of faults.endpoint, with the keys of the real server
    assert rule.hits == 3
    assert sum(len(request.read) for request in faults.requests) < 10_000
```

Signatures survive: they cover the header Host, which goes on as the client sent it. So the server behind has to accept
any host and find the bucket in the path, as servers of one's own do and S3 of AWS does not.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from ematix_core.testing.s3_proxy import Answer, CutBody, Drop, Fault, Hang, LoseAnswer, Proxy
from ematix_core.testing.s3_requests import Match, Request

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "ACCESS_DENIED", "BAD_REQUEST", "EXPIRED_TOKEN", "INTERNAL_ERROR", "SLOW_DOWN",
    "Answer", "CutBody", "Drop", "Fault", "Hang", "LoseAnswer", "Match", "Request", "Rule", "S3Faults",
]  # fmt: skip


# Codes and statuses: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
INTERNAL_ERROR = Answer(500, "InternalError")
SLOW_DOWN = Answer(503, "SlowDown")
EXPIRED_TOKEN = Answer(400, "ExpiredToken")
ACCESS_DENIED = Answer(403, "AccessDenied")
BAD_REQUEST = Answer(400, "InvalidRequest")


@dataclass
class Rule:
    """A fault for some of the requests that match. `hits` counts those that it was applied to."""

    fault: Fault
    match: Match
    skip: int
    times: int | None
    hits: int = 0

    def take(self) -> bool:
        """Return whether this match is one that the fault is for, and count it."""
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True


class S3Faults:
    """A proxy on a free port of 127.0.0.1 for the S3 server at `server` (http or https), from `with` to its end.

    Without rules each request goes on as it is. Requests are handled side by side, as their connections are.
    """

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        if self._server.scheme not in {"http", "https"} or not self._server.hostname:
            raise ValueError(f"an S3 server is given as http://HOST:PORT or https://HOST:PORT, not as {server!r}")
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._requests: list[Request] = []
        self._proxy: Proxy | None = None

    def __enter__(self) -> Self:
        self._proxy = Proxy(self._server, self._arrived)
        threading.Thread(target=self._proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._proxy is not None:
            self._proxy.close()

    @property
    def endpoint(self) -> str:
        """The URL that clients use as the server's."""
        if self._proxy is None:
            raise RuntimeError("the proxy runs inside `with S3Faults(...) as faults:` only")
        return f"http://127.0.0.1:{self._proxy.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """The requests so far, those that a fault met included."""
        with self._lock:
            return list(self._requests)

    @property
    def unused(self) -> list[Rule]:
        """Rules that no request was hit by: what such a test shows, it shows without the fault."""
        with self._lock:
            return [rule for rule in self._rules if not rule.hits]

    def seen(self, method: str | None = None, key: str | None = None, query: str | None = None) -> list[Request]:
        """Return the requests so far that match; the conditions are those of `Match`."""
        match = Match(method, key, query)
        return [request for request in self.requests if match(request)]

    def add(
        self, fault: Fault, *, times: int | None = 1, skip: int = 0,
        method: str | None = None, key: str | None = None, query: str | None = None,
    ) -> Rule:  # fmt: skip
        """Apply the fault to the next `times` requests that match (None: to all), after letting `skip` of them pass.

        Of several rules that match a request, the first that is not used up counts. For the conditions see `Match`.
        """
        rule = Rule(fault, Match(method, key, query), skip, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget the rules and the requests."""
        with self._lock:
            self._rules.clear()
            self._requests.clear()

    def _arrived(self, request: Request) -> Fault | None:
        """Note a request, and return what shall happen to it. Called from the threads of the proxy."""
        with self._lock:
            self._requests.append(request)
            return next((rule.fault for rule in self._rules if rule.match(request) and rule.take()), None)
