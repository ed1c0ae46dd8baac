"""A function behind HTTP: the task is POSTed as JSON, and the answer is the ending.

| answer | meaning |
|---|---|
| 200 with `{"status": "succeeded", "reason": ""}` | the ending, as `flow perform-task` prints it |
| 202, 409 | it is at work, or was at work already: the store tells the end |
| 429, 503 | it has no room now: asked again with the same Idempotency-Key |
| anything else | the task was not carried out |
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ematix_core.scheduler.protocols import Ending

if TYPE_CHECKING:
    from ematix_core.scheduler.protocols import Task

_ACCEPTED, _CONFLICT = 202, 409
_BUSY = frozenset({429, 503})
_PATIENCE = 60.0
"""Seconds to go on trying while the function has no room or cannot be reached."""
_LONGEST = 1 << 20
_SHOWN = 200


class HttpFunction:
    """Implements `Function`. `token`: sent as a bearer token. `wait`: seconds to wait for an answer at most."""

    def __init__(self, url: str, *, token: str = "", wait: float = 3600.0) -> None:
        self._url = url
        self._token = token
        self._wait = wait

    def call(self, task: Task, key: str) -> Ending | None:
        """POST the task. A connection that is lost on the way says nothing about the run: then the store does."""
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

        headers = {"Content-Type": "application/json", "Idempotency-Key": f'"{key}"'}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = Request(  # noqa: S310 - http and https only: see executor_of
            self._url, data=json.dumps(task.to_dict()).encode(), headers=headers, method="POST"
        )
        retrying = Retrying(
            stop=stop_after_delay(_PATIENCE), wait=wait_exponential(0.5, max=10), reraise=True,
            retry=retry_if_exception(_is_before_the_task),
        )  # fmt: skip
        try:
            return retrying(self._post, request)
        except HTTPError as error:
            with error:
                if error.code == _CONFLICT:
                    return None
                text = error.read(_SHOWN).decode(errors="replace").strip()
            return Ending(None, f"the function answered {error.code} {error.reason}{': ' * bool(text)}{text}")
        except (OSError, http.client.HTTPException) as error:
            if _is_before_the_task(error):
                return Ending(None, f"the function cannot be reached: {getattr(error, 'reason', error)}")
            return None

    def _post(self, request: Request) -> Ending | None:
        with urlopen(request, timeout=self._wait) as response:  # noqa: S310 - see above
            if response.status == _ACCEPTED:
                return None
            body = response.read(_LONGEST)
        try:
            return Ending.from_dict(json.loads(body))
        except (ValueError, KeyError, TypeError):
            return Ending(None, f"the function answered with no ending: {body[:_SHOWN].decode(errors='replace')}")


def _is_before_the_task(error: BaseException) -> bool:
    """Say whether the function has not begun: it was busy, or there was no connection yet."""
    if isinstance(error, HTTPError):
        return error.code in _BUSY
    return isinstance(error, URLError) and isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
