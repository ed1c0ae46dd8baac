"""Messages that set workflows off: what a scheduler asks of their sources, whatever these are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Container

AT_ONCE = 100
"""So many messages are taken in one look."""
LARGEST = 1 << 20
"""A payload of more bytes stays where it is: the run has the position, and can read it there."""


@dataclass(frozen=True)
class Message:
    """One message: `position` tells it from all others of its source for ever; `payload` is plain data, for JSON."""

    position: str
    payload: Any


class MessagePoller(Protocol):
    """Finds the messages of one source. For one thread; every method but `close` may block, and may repeat.

    A message is consumed once its run has begun, which the store knows by its position. So a poller need not remember
    anything: what it returns is left out of later looks by `known`, and a message may be seen by several pollers.
    Errors that are Transient may go away by themselves: ask again later.
    """

    def check(self) -> None:
        """Look whether the source is as it was declared. Called before the first `poll`.

        Raises MissingSourceError, AccessError, UnsupportedError and the like, saying what to do; ConnectError when
        the system does not answer now.
        """
        ...

    def poll(self, known: Container[str], limit: int = AT_ONCE) -> list[Message]:
        """Return the next messages whose positions are not known, in order. Called about once a second."""
        ...

    def remaining(self, positions: Collection[str]) -> list[str]:
        """Return those of the positions that are still at the source though `done` would take them away.

        Called when a scheduler begins, with the messages whose runs have succeeded: the one before it may have died
        before it called `done`.
        """
        ...

    def done(self, position: str) -> None:
        """Take the message away, as the declaration says. Called after its run has succeeded; does nothing twice."""
        ...

    def close(self) -> None:
        """Release everything. Called once."""
        ...


def path_of(position: str) -> str:
    """Return the file's path below the connection that a position of an `inbox()` speaks of."""
    return position.rpartition("@")[0]


def version_of(position: str) -> int:
    """Return the version of the table that a position of `versions()` speaks of."""
    return int(position.partition("@")[0])


def stamp(moment: int) -> str:
    """Return a time in ns since 1970 as `20260131T020000.123456789Z`."""
    seconds, rest = divmod(moment, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}.{rest:09}Z"


def parsed(text: str) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return what the text says when it is JSON, else the text itself."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()  # halves of surrogate pairs are no text
    except (ValueError, RecursionError):
        return text
    return value


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and no database takes."""
    raise ValueError(constant)
