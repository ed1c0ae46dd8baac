"""Bulk loading: LOAD DATA LOCAL from memory, or large INSERTs where the server forbids it.

The rows are encoded in this thread while another one sends them. The server reads the rows of LOAD DATA LOCAL with
IGNORE, so a value that does not fit would become a warning: any warning, and any row left out, fails the load.
"""

from __future__ import annotations

import queue
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ematix_core.backends.feed import Feed
from ematix_core.backends.mysql.encoding import load_text, pc, pieces, row_literals
from ematix_core.backends.mysql.errors import translate
from ematix_core.backends.mysql.guards import guard
from ematix_core.backends.mysql.reading import quote
from ematix_core.errors import EmatixError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ematix_core.backends.mysql.columns import Declared
    from ematix_core.backends.mysql.connection import Database
    from ematix_core.backends.mysql.wire import Loaded
    from ematix_core.model.table import Column

_PACKET = 256 * 1024
_STATEMENT = 1024 * 1024
_LARGE = 1024 * 1024
_WAITING = 4
"""Encoded pieces that wait to be sent."""
_MADE_OF_TEXT = frozenset({"json", "uuid", "inet4", "inet6"})
"""Types that take text for what it says, and bytes for their own inner form."""
_ROW = re.compile(r"at row (\d+)")


class Loading:
    """One load into one table, on one connection."""

    def __init__(self, database: Database, table: str, columns: Sequence[Column], facts: Sequence[Declared]) -> None:
        self._database = database
        self._table = table
        self._columns = columns
        self._facts = facts
        self._sending: Sending | None = None
        self.feed: Feed | None = None

    def run(self, batches: pa.RecordBatchReader) -> int:
        """Load all batches and return how many rows there were. Raises what the reader raises, unchanged."""
        feed = self.feed = Feed("mysql", self._columns, batches)
        try:
            self._load(feed)
        except Exception as error:
            if feed.failure is not None and error is not feed.failure:
                raise feed.failure from error
            raise
        return feed.rows

    def statement(self) -> str:
        """Return the LOAD DATA statement; its file name is only a word, since we answer with our own bytes."""
        raw = any(column.type.kind == "bytes" for column in self._columns)
        fields, values = [], []
        for number, fact in enumerate(self._facts):
            value = _converted(fact, f"@v{number}", raw=raw)
            fields.append(quote(fact.name) if value is None else f"@v{number}")
            values += [] if value is None else [f"{quote(fact.name)} = {value}"]
        setting = f" SET {', '.join(values)}" if values else ""
        return (
            f"LOAD DATA LOCAL INFILE 'ematix' INTO TABLE {self._table} CHARACTER SET {'binary' if raw else 'utf8mb4'} "
            rf"FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' ({', '.join(fields)}){setting}"
        )

    def _load(self, feed: Feed) -> None:
        done = 0
        try:
            for batch in feed.reader():
                for piece in pieces(batch):
                    guard(piece, self._facts, done)
                    if (rows := self._literals(piece)) is not None:
                        self._finish()
                        self._insert(rows, done)
                    else:
                        self._send(piece, done)
                    done += piece.num_rows
            self._finish()
        except BaseException as error:
            if self._sending is not None:
                self._sending.abort(error)
            raise

    def _literals(self, piece: pa.RecordBatch) -> Any:  # noqa: ANN401 - a LargeBinaryArray, or None
        """Return the rows for INSERT, where LOCAL is forbidden or MySQL would take minutes for a value so large.

        Its buffer for a field grows by 4 kB at a time, copied: 5 MB take 0.8 s, 50 MB take more than a minute.
        """
        server = self._database.server
        if not server.local_infile:
            return row_literals(piece, self._columns)
        if server.mariadb or max(_largest(array) for array in piece.columns) < _LARGE:
            return None
        rows = row_literals(piece, self._columns)
        return rows if pc.max(pc.binary_length(rows)).as_py() < server.max_allowed_packet - _STATEMENT else None

    def _send(self, piece: pa.RecordBatch, done: int) -> None:
        if self._sending is None:
            self._sending = Sending(self._database, self.statement(), done)
        self._sending.put(load_text(piece, self._columns), piece.num_rows)

    def _finish(self) -> None:
        """End the running LOAD DATA; raise its first warning as an error, and one when rows are missing."""
        if (sending := self._sending) is None:
            return
        self._sending = None
        loaded = sending.finish()
        if loaded.warnings:
            number, message = next(
                iter(self._database.warnings()), (0, "the server gave warnings that it does not show")
            )
            known = translate(number or 1366, message, self.statement(), self._database.address)
            raise _numbered(known, sending.before).at(f"table {self._table}")
        if loaded.records != sending.rows or loaded.skipped:
            raise RunError(
                f"the server loaded {loaded.records - loaded.skipped:,} of {sending.rows:,} rows", where=self._table
            )

    def _insert(self, rows: Any, done: int) -> None:  # noqa: ANN401 - a LargeBinaryArray
        """Load by INSERTs of a megabyte each: in strict mode a value that does not fit is an error of its own."""
        names = ", ".join(quote(fact.name) for fact in self._facts)
        head = f"INSERT INTO {self._table} ({names}) VALUES ".encode()  # noqa: S608 - quoted names
        limit = min(_STATEMENT, self._database.server.max_allowed_packet - len(head) - 1024)
        for start, stop in _runs(rows, limit):
            try:
                self._database.run(head + b",".join(rows.slice(start, stop - start).to_pylist()))
            except EmatixError as error:
                raise _numbered(error, done + start).at(f"table {self._table}") from error.__cause__


class Sending:
    """One LOAD DATA statement that runs in a thread of its own, fed by a short queue. `before`: rows loaded earlier."""

    def __init__(self, database: Database, statement: str, before: int) -> None:
        self.before = before
        self.rows = 0
        self._database = database
        self._queue: queue.Queue[memoryview | None] = queue.Queue(_WAITING)
        self._failure: BaseException | None = None
        self._loaded: Loaded | None = None
        self._thread = threading.Thread(target=self._run, args=(statement,), name="ematix-mysql-load", daemon=True)
        self._thread.start()

    def put(self, text: memoryview, rows: int) -> None:
        """Hand over encoded rows; blocks while enough wait. Raises what the statement has failed with."""
        self.rows += rows
        self._put(text)

    def finish(self) -> Loaded:
        """End the data and return what the server says."""
        self._put(None)
        self._thread.join()
        if self._loaded is None:
            raise self._failure or RuntimeError("the load ended without a word")
        return self._loaded

    def abort(self, reason: BaseException) -> None:
        """End the data early and wait for the statement to end; the caller rolls back."""
        self._failure = self._failure or reason
        with suppress(BaseException):
            self._put(None)
        self._thread.join()

    def _put(self, text: memoryview | None) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(text, timeout=0.2)
            except queue.Full:
                continue
            return
        if self._failure is not None:
            raise self._failure

    def _run(self, statement: str) -> None:
        try:
            self._loaded = self._database.send_rows(statement, self._chunks())
        except BaseException as error:  # noqa: BLE001 - raised in the loading thread
            self._failure = self._failure or error

    def _chunks(self) -> Iterator[memoryview]:
        size = min(_PACKET, self._database.server.max_allowed_packet - 1024)
        while (text := self._queue.get()) is not None:
            for start in range(0, len(text), size):
                if self._failure is not None:
                    raise self._failure
                yield text[start : start + size]
        if self._failure is not None:
            raise self._failure


def _largest(array: Any) -> int:  # noqa: ANN401 - an array of any type
    """Return the length in bytes of the longest text or bytes."""
    plain = array.storage if hasattr(array, "storage") else array
    kind = str(plain.type)
    return pc.max(pc.binary_length(plain)).as_py() or 0 if kind in {"string", "binary"} else 0


def _runs(rows: Any, limit: int) -> Iterator[tuple[int, int]]:  # noqa: ANN401 - a LargeBinaryArray
    """Yield from and to of runs of rows that have at most `limit` bytes together; a longer row goes alone."""
    start = size = 0
    for number, length in enumerate(pc.binary_length(rows).to_pylist()):
        if size + length + 1 > limit and number > start:
            yield start, number
            start, size = number, 0
        size += length + 1
    if start < len(rows):
        yield start, len(rows)


def _numbered(error: EmatixError, before: int) -> EmatixError:
    """Return the error with the row's number in the load instead of in the statement."""
    error.what = _ROW.sub(lambda found: f"at row {int(found[1]) + before}", error.what)
    error.args = (error.what,)
    return error


def _converted(fact: Declared, variable: str, *, raw: bool) -> str | None:
    """Return the expression that makes a column's value of the field's text; None when none is needed.

    With binary columns the file is read as bytes, since MySQL refuses bytes that are no UTF-8; its text is then
    converted where the column is not UTF-8 itself.
    """
    if fact.data_type == "bit":
        return f"CAST({variable} AS UNSIGNED)"
    text = fact.data_type in _MADE_OF_TEXT or fact.charset not in {"", "utf8mb4"}
    return f"CONVERT({variable} USING utf8mb4)" if raw and text else None
