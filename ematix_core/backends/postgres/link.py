"""One connection to PostgreSQL with a synchronous face: asyncpg on an event loop in a thread.

asyncpg hands COPY data over in the chunks that come from the socket, where libpq's bindings hand over single rows:
https://magicstack.github.io/asyncpg/current/api/index.html#asyncpg.connection.Connection.copy_from_query
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ematix_core.backends.postgres import loop
from ematix_core.backends.postgres.channel import Channel, ChannelClosedError
from ematix_core.backends.postgres.failures import translate
from ematix_core.backends.postgres.shape import Shape, Tap
from ematix_core.errors import CancelledError, EmatixError, MissingDriverError, SqlError
from ematix_core.interruptible import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Sequence
    from types import ModuleType

    from ematix_core.backends.postgres.address import Address
    from ematix_core.backends.postgres.parameters import Bound

_T = TypeVar("_T")
_CLOSE_SECONDS = 5.0
_UNNAMED = ""
"""Name of the statement that the next one replaces: a pooler would hand others on to the next client."""


def driver() -> ModuleType:
    """Return asyncpg. Raises MissingDriverError when it is not installed."""
    try:
        import asyncpg
    except ImportError as error:
        raise MissingDriverError("postgres", "asyncpg", "postgres") from error
    module: ModuleType = asyncpg
    return module


class Link:
    """Statements and COPY streams on one connection; used from one thread, `cancel` and `close` from any."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._asyncpg = driver()
        self._loops = loop.shared
        self._loop = self._loops.acquire()
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False
        self._committing = False
        self._closed = False
        try:
            self.connection = self._run(self._open())
        except BaseException:
            self._closed = True
            self._loops.release()
            raise

    async def _open(self) -> Any:  # noqa: ANN401 - asyncpg has no types
        tapped = _tapped(self._asyncpg)
        return await self._asyncpg.connect(
            self.address.dsn, timeout=self.address.timeout, server_settings=dict(self.address.server_settings),
            statement_cache_size=0, connection_class=tapped,
        )  # fmt: skip

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version, such as (15, 8)."""
        found = self.connection.get_server_version()
        return (int(found.major), int(found.minor))

    def execute(self, sql: str) -> int:
        """Run statements without parameters in one round trip, and return the rows that the last one changed."""
        return changed(self._run(self.connection.execute(sql), sql))

    def change(self, bound: Bound) -> int:
        """Run one statement with parameters and return the rows that it changed."""
        if not bound.names:
            status = self._run(self.connection.execute(bound.sent), bound.written, bound.position)
        else:
            status = self._run(self._change(bound), bound.written, bound.position)
        return changed(status)

    async def _change(self, bound: Bound) -> str:
        statement = await self.connection.prepare(bound.sent, name=_UNNAMED)
        await statement.fetch(*bound.values(statement.get_parameters()))
        status: str = statement.get_statusmsg()
        return status

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Run one query of our own with `$1` parameters and return its rows."""
        found: list[Any] = self._run(self.connection.fetch(sql, *values), sql)
        return found

    def shape(self, sql: str, written: str = "", at: Callable[[int], int | None] | None = None) -> Shape:
        """Return what the server says about a statement's parameters and columns, without running it."""
        return self._run(self._shape(sql), written or sql, at)

    async def _shape(self, sql: str) -> Shape:
        transport, protocol = self.connection.transport, self.connection.protocol
        tap = Tap(protocol)
        transport.set_protocol(tap)
        try:
            statement = await self.connection.prepare(sql, name=_UNNAMED)
        finally:
            transport.set_protocol(protocol)
        return Shape(tuple(kind.name for kind in statement.get_parameters()), tap.fields())

    def copy_out(
        self, sql: str, *, form: str, written: str = "", at: Callable[[int], int | None] | None = None
    ) -> Generator[list[bytes]]:
        """Yield the chunks of `COPY (sql) TO STDOUT`, several at a time; each chunk ends at the end of a row."""
        channel = Channel(self._loop)

        async def copy() -> None:
            try:
                await self.connection.copy_from_query(sql, output=channel.put_soon, format=form)
            finally:
                channel.end()

        done = self.begin(copy())
        finished = False
        try:
            while chunks := channel.take():
                yield chunks
            finished = True
        finally:
            if not finished:
                channel.close()
                self.cancel_task()
                wait_until(done)
                self.swallow()
        with self.translated(written or sql, at):
            self.finish(done)

    def copy_in(self, table: tuple[str, str], columns: Sequence[str], chunks: Iterable[bytes], *, form: str) -> int:
        """Send the chunks to `COPY table (columns) FROM STDIN` and return the number of rows."""
        channel = Channel(self._loop)
        schema, name = table
        copy = self.connection.copy_to_table(
            name, source=_source(channel), columns=list(columns), schema_name=schema or None, format=form
        )
        done = self.begin(copy, channel.close)
        failure: BaseException | None = None
        try:
            for chunk in chunks:
                channel.put(chunk)
            channel.end()
        except ChannelClosedError:
            pass  # the server has refused: the task tells why
        except BaseException as error:
            failure = error
            channel.close()
            raise
        finally:
            if failure is not None:
                wait_until(done)
                self.swallow()
        with self.translated(f"COPY {name} ({', '.join(columns)}) FROM STDIN"):
            return changed(self.finish(done))

    def commit(self) -> None:
        """COMMIT; not to be cancelled half-way, when nobody knows the outcome. Raises ConnectError when it is lost."""
        with self.translated("COMMIT"):
            self._committing = True
            try:
                done = self.begin(self.connection.execute("COMMIT"))
                try:
                    wait_until(done)
                except BaseException:
                    wait_until(done)
                    self.swallow()
                    raise
                status = self.finish(done)
            finally:
                self._committing = False
        if status != "COMMIT":
            raise SqlError("a statement failed before, so the server rolled back", statement="COMMIT")

    def roll_back(self) -> None:
        """ROLLBACK, after `cancel` too; a connection that is gone has rolled back already."""
        self._cancelled = False
        with suppress(EmatixError):
            self.execute("ROLLBACK")

    def cancel(self) -> None:
        """Stop what runs, on the server too; every later call fails. From any thread."""
        self._cancelled = True
        self.cancel_task()

    def close(self) -> None:
        """Close the connection; what is not committed is rolled back."""
        if self._closed:
            return
        self._closed = True
        self._cancelled = False
        try:
            self._run(self._end())
        finally:
            self._loops.release()

    async def _end(self) -> None:
        try:
            await self.connection.close(timeout=_CLOSE_SECONDS)
        except (OSError, TimeoutError, self._asyncpg.PostgresError, self._asyncpg.InterfaceError):
            self.connection.terminate()

    def require_running(self) -> None:
        """Raise CancelledError after `cancel`."""
        if self._cancelled:
            raise CancelledError("the session was interrupted")

    def _run(
        self, work: Coroutine[Any, Any, _T], written: str = "", at: Callable[[int], int | None] | None = None
    ) -> _T:
        with self.translated(written, at):
            result: _T = self.finish(self.begin(work))
            return result

    def begin(self, work: Coroutine[Any, Any, Any], ended: Callable[[], None] | None = None) -> threading.Event:
        """Start the work on the loop; the event is set when it has ended, however it ended."""
        if self._cancelled:
            work.close()
            self.require_running()
        done = threading.Event()

        def end(_: object) -> None:
            if ended is not None:
                ended()
            done.set()

        def begin() -> None:
            self._task = self._loop.create_task(work)
            self._task.add_done_callback(end)

        self._loop.call_soon_threadsafe(begin)
        return done

    def finish(self, done: threading.Event) -> Any:  # noqa: ANN401 - what the work returns
        """Wait for the work that `begin` started; on Ctrl-C stop it on the server first."""
        try:
            wait_until(done)
        except BaseException:
            self.cancel_task()
            wait_until(done)
            self.swallow()
            raise
        task, self._task = self._task, None
        assert task is not None  # noqa: S101 - begin() has made it before the event was set
        return task.result()

    def swallow(self) -> None:
        """Forget the outcome of a task that was stopped because of another error."""
        task, self._task = self._task, None
        if task is not None and not task.cancelled():
            task.exception()

    def cancel_task(self) -> None:
        """Stop the work that `begin` started, from any thread."""

        def stop() -> None:
            if self._task is not None and not self._committing:
                self._task.cancel()

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(stop)

    @contextmanager
    def translated(self, written: str = "", at: Callable[[int], int | None] | None = None) -> Iterator[None]:
        """Raise the driver's errors as ours, with the statement as written and `at` to find the position in it."""
        try:
            yield
        except asyncio.CancelledError as error:
            raise CancelledError("the session was interrupted") from error
        except Exception as error:
            if self._cancelled:
                raise CancelledError("the session was interrupted") from error
            ours = translate(error, self.address, written, at)
            if ours is error:
                raise
            raise ours from error


async def _source(channel: Channel) -> AsyncIterator[bytes]:
    async for chunk in channel.chunks():
        yield chunk


def changed(status: str) -> int:
    """Return the number at the end of a command tag such as `INSERT 0 5`; 0 for DDL."""
    last = status.rpartition(" ")[2] if status else ""
    return int(last) if last.isdigit() else 0


def _tapped(asyncpg: Any) -> type:  # noqa: ANN401 - asyncpg has no types
    """Return asyncpg's Connection that also keeps its transport, to listen in on: see Tap."""

    class TappedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
        __slots__ = ("protocol", "transport")

        def __init__(self, protocol: Any, transport: Any, *rest: Any, **named: Any) -> None:  # noqa: ANN401 - asyncpg has no types
            self.protocol = protocol
            self.transport = transport
            super().__init__(protocol, transport, *rest, **named)

    return TappedConnection
