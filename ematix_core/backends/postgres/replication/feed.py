"""A thread that reads the changes of a slot, a bounded number ahead, and answers the server whatever the consumer does.

A walsender that hears nothing for `wal_sender_timeout` ends the connection, so a consumer that loads for minutes must
not be the one that answers.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.replication import wire
from ematix_core.backends.postgres.replication.runs import Run, joined
from ematix_core.errors import ConnectError, EmatixError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.pq.abc import PGconn

_AHEAD = 32 << 20
"""Bytes of changes that may wait for the consumer."""
_RUN = 8192
"""Changes that are handed over together, at most."""
_QUIET_SECONDS = 0.002
"""Fewer are handed over when nothing comes for so long: each time costs as much as some hundred changes."""
_PART_SECONDS = 2.0
_ROWS = frozenset(b"IUD")
_KEEPALIVE, _BEGIN, _RELATION, _TRUNCATE = b"kBRT"


class Feed:
    """The changes of one table as they come. For one thread, beside its own, which ends with `close`."""

    def __init__(self, connection: PGconn, table: int, failed: Callable[[PGconn], EmatixError], seconds: float) -> None:
        """Take a connection in COPY mode, and what its failure is called; the server hears of us every `seconds`."""
        self._seconds = seconds
        self._connection = connection
        self._table = table
        self._failed = failed
        self._runs: deque[Run] = deque()
        self._size = 0
        self._reached = 0
        self._acknowledged = 0
        self._asked = self._closed = False
        self._error: EmatixError | None = None
        self._changed = threading.Condition()
        self._wake_from, self._wake_to = os.pipe()
        self._reader = _Reader(table, self._put)
        self._thread = threading.Thread(target=self._read, name="postgres changes", daemon=True)
        self._thread.start()

    def take(self, rows: int, size: int, seconds: float) -> Run | None:
        """Return the next changes of one shape, at least one, waiting for them so long; None when there are none.

        Raises ConnectError when the connection is lost, and what the server refused to send.
        """
        with self._changed:
            if not self._runs and self._error is None:
                self._changed.wait(seconds)
            if not self._runs:
                if self._error is not None:
                    raise self._error
                return None
            taken: list[Run] = []
            while self._runs and rows > 0 and size > 0:
                run = self._runs[0]
                if taken and not taken[-1].goes_with(run):
                    break
                head, rest = run.split(rows, size)
                self._runs.popleft()
                if rest is not None:
                    self._runs.appendleft(rest)
                taken.append(head)
                rows, size = rows - len(head.messages), size - head.size
                self._size -= head.size
        self._wake()
        return joined(taken)

    def reached(self) -> int:
        """Return how far in the log there is nothing more to take; 0 while something is."""
        with self._changed:
            return 0 if self._runs else self._reached

    def ask(self) -> None:
        """Let the server say how far it has come."""
        self._asked = True
        self._wake()

    def acknowledge(self, lsn: int) -> None:
        """Let the server forget what lies before."""
        self._acknowledged = max(self._acknowledged, lsn)
        self._asked = True
        self._wake()

    def close(self) -> None:
        """End the thread and the connection; what was acknowledged is sent before."""
        self._closed = True
        self._wake()
        self._thread.join()
        os.close(self._wake_from)
        os.close(self._wake_to)

    def _wake(self) -> None:
        os.write(self._wake_to, b"!")

    def _put(self, run: Run) -> None:
        with self._changed:
            self._runs.append(run)
            self._size += run.size
            self._changed.notify_all()

    def _read(self) -> None:
        connection, told = self._connection, 0.0
        try:
            connection.nonblocking = 1
            while not self._closed:
                if self._asked or time.monotonic() - told > self._seconds:
                    self._tell(ask=self._asked)
                    told = time.monotonic()
                full = self._size >= _AHEAD
                if not full and self._take_in():
                    continue
                if not self._reader.has_rows:
                    self._wait(self._seconds, full=full)
                elif not self._wait(0):
                    time.sleep(_QUIET_SECONDS)
                    if not self._wait(0):
                        self._reader.hand_over()
            self._part()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised by the consumer's next `take`
            found = error if isinstance(error, EmatixError) else ConnectError(f"replication broke: {error}")
            with self._changed:
                self._error = found
                self._changed.notify_all()
        finally:
            connection.finish()

    def _part(self) -> None:
        """Tell what was acknowledged, and wait for a moment until the server has it.

        Were the connection closed with messages unread, the kernel would take back what the server has not read yet.
        """
        deadline = time.monotonic() + _PART_SECONDS
        if not self._acknowledged:
            return
        self._tell(ask=True)
        while time.monotonic() < deadline:
            self._connection.consume_input()
            length, data = self._connection.get_copy_data(1)
            if length < 0 or (length > 0 and data[0] == _KEEPALIVE):
                return
            if not length:
                select.select([self._connection.socket], [], [], _PART_SECONDS / 10)

    def _take_in(self) -> bool:
        """Take the messages that are there; false when there are no more. Raises what ends the stream.

        The socket is read whenever there is none, whether it seems to have something or not: under TLS some may wait
        in the library, and it gives one message at a time.
        """
        take, reader = self._connection.get_copy_data, self._reader
        rows = reader.plain_rows()  # None: each has to be looked at
        for _ in range(_RUN):
            length, data = take(1)
            if not length:
                self._connection.consume_input()
                length, data = take(1)
            if rows is not None and length > wire.HEADER and data[wire.HEADER] in _ROWS:
                rows.append(data)
            elif length > wire.HEADER:
                reader.read(data)
                rows = reader.plain_rows()
            elif length > 0 and data[0] == _KEEPALIVE:
                reader.hand_over()
                rows = reader.plain_rows()
                self._keep_alive(data)
            elif length < 0:
                reader.hand_over()
                raise self._failed(self._connection)
            else:
                return False
        reader.hand_over()
        return True

    def _keep_alive(self, data: memoryview) -> None:
        end, asked = wire.keepalive(data)
        with self._changed:
            self._reached = end
            self._changed.notify_all()
        if asked:
            self._tell(ask=False)

    def _tell(self, *, ask: bool) -> None:
        self._asked = False
        received = max(self._reached, self._acknowledged)
        now = time.time_ns() // 1000
        self._connection.put_copy_data(wire.status(received, self._acknowledged, now, ask=ask))
        while self._connection.flush():
            select.select([], [self._connection.socket], [], 1.0)

    def _wait(self, seconds: float, *, full: bool = False) -> bool:
        """Wait until there is something to do, and say whether there is; for messages only where there is room."""
        watched = [self._wake_from] if full else [self._wake_from, self._connection.socket]
        ready = select.select(watched, [], [], seconds)[0]
        if self._wake_from in ready:
            os.read(self._wake_from, 4096)
        return bool(ready)


class _Reader:
    """Sorts messages into runs of changes of one table. The last transaction of a run is that whose changes come."""

    def __init__(self, table: int, put: Callable[[Run], None]) -> None:
        self._table = table
        self._put = put
        self._others: set[bytes] = set()
        self._run = Run(None)

    def plain_rows(self) -> list[memoryview] | None:
        """Return where changes may be put without `read`; None while the publication tells other tables', too."""
        return None if self._others else self._run.messages

    def read(self, data: memoryview) -> None:
        """Take one message of pgoutput."""
        kind = data[wire.HEADER]
        if kind in _ROWS:
            if bytes(data[wire.HEADER + 1 : wire.HEADER + 5]) not in self._others:
                self._run.messages.append(data)
        elif kind == _BEGIN:
            self._run.trim()
            self._run.start(wire.begin(data), 0)
        elif kind == _RELATION:
            self._shape(data)
        elif kind == _TRUNCATE and self._table in wire.truncated(data):
            self.hand_over()
            emptied = Run(self._run.relation, truncate=True)
            emptied.start(self._run.begins[-1], self._run.firsts[-1])
            self._run.firsts[-1] += 1
            self._put(emptied)

    @property
    def has_rows(self) -> bool:
        """Whether there are changes that were not handed over yet."""
        return bool(self._run.messages)

    def hand_over(self) -> None:
        """Give what was collected to the consumer; the transaction may go on."""
        if self._run.messages:
            self._begin(self._run.relation)

    def _begin(self, relation: wire.Relation | None) -> None:
        """Hand over, and begin a run of this shape."""
        run, self._run = self._run, Run(relation)
        if run.begins:
            self._run.start(run.begins[-1], run.last()[1] + 1 if run.last_has_rows else run.firsts[-1])
        run.trim()
        if run.messages:
            run.size = sum(map(len, run.messages))
            self._put(run)

    def _shape(self, data: memoryview) -> None:
        found = wire.relation(data)
        if found.oid != self._table:
            self._others.add(bytes(data[wire.HEADER + 1 : wire.HEADER + 5]))
        elif found != self._run.relation:
            self._begin(found)
