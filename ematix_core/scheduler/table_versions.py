"""A table of a lake as a source of messages: each version that changes its rows is one."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.backends import registry
from ematix_core.backends.tailing import nanoseconds
from ematix_core.errors import EmatixError, UnsupportedError
from ematix_core.scheduler.messages import AT_ONCE, Message, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterator

    from ematix_core.backends.stream_protocols import TableVersion
    from ematix_core.model.connection import Connection
    from ematix_core.model.message import MessageSource

_log = logging.getLogger(__name__)


class TableVersions:
    """Implements `MessagePoller` for the versions of a table."""

    def __init__(self, source: MessageSource, connection: Connection, mask: Callable[[str], str] = str) -> None:
        """Take the connection with its secrets resolved, and what hides them in errors."""
        self._where = f"message source {source.name}"
        self._mask = mask
        self._begin = source.start - 1
        self._behind = self._begin
        with self._told():
            try:
                self._log = registry.version_log(connection, source.versions_of)
            except UnsupportedError as error:
                error.hint = f"{error.hint} A database's table is declared by queue(), a folder by inbox()."
                raise

    def check(self) -> None:
        with self._told():
            self._log.newest()

    def poll(self, known: Container[str], limit: int = AT_ONCE) -> list[Message]:
        found: list[Message] = []
        with self._told():
            if self._log.newest() < self._behind:  # the table was made anew, and numbers its versions from 0 again
                self._behind = self._begin
            behind = self._behind
            while len(found) < limit and (versions := self._log.versions(behind, limit)):
                self._warn_of_gap(behind, versions[0].version)
                for version in versions:
                    behind = version.version
                    message = _message(version, self._where)
                    if (version.added or version.removed) and message.position not in known:
                        found.append(message)
                    elif not found:
                        self._behind = behind
        return found[:limit]

    def remaining(self, positions: Collection[str]) -> list[str]:
        """Return nothing: versions stay."""
        del positions
        return []

    def done(self, position: str) -> None:
        """Do nothing: versions stay."""

    def close(self) -> None:
        self._log.close()

    def _warn_of_gap(self, behind: int, following: int) -> None:
        if behind > self._begin and following > behind + 1:
            _log.warning(
                "%s: the versions %d to %d are no longer told by the table's log, and set nothing off",
                self._where, behind + 1, following - 1,
            )  # fmt: skip

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except EmatixError as error:
            raise error.masked(self._mask).at(self._where) from None


def _message(version: TableVersion, where: str) -> Message:
    payload: dict[str, Any] = {
        "version": version.version, "committed_at": version.committed_at.isoformat(), "operation": version.operation,
        "added": version.added, "removed": version.removed, "rows": version.rows,
    }  # fmt: skip
    return Message(f"{version.version}@{stamp(nanoseconds(version.committed_at, where))}", payload)
