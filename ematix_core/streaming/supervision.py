"""Consuming a stream: a consumer a target, each begun again when it fails for a reason that passes."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.config.redact import Redactor
from ematix_core.config.settings import Settings
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import Environment, now
from ematix_core.engine.progress import Silent
from ematix_core.errors import CancelledError, EmatixError, is_transient
from ematix_core.model.retry import Retry
from ematix_core.streaming.consumer import Consumer
from ematix_core.streaming.control import Control, Observer, Unobserved, Until
from ematix_core.streaming.reading import places
from ematix_core.streaming.result import StreamResult, TargetConsumed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from ematix_core.backends.stream_protocols import Positions, Start
    from ematix_core.engine.progress import Progress
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.control import Landed

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2
_FINITE_RESTARTS = 10
"""So often in a row, which takes four minutes, a consumer begins again that is to come to an end by itself."""
RESTARTS = Retry(retries=2**31, delay=0.5, backoff="exponential", max_delay=60.0, jitter=0.1)
"""When a consumer that failed begins again: there is no last time, as there is no end of a stream."""


def consume_stream(
    stream: Stream,
    project: ConnectionLookup | None = None,
    *,
    until_idle: bool = False,
    once: bool = False,
    start: Start | None = None,
    end: Start | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = now,
    control: Control | None = None,
    observer: Observer | None = None,
    redactor: Redactor | None = None,
    lock_wait: float = 60.0,
    slot: int = 0,
) -> StreamResult:
    """Consume in this process and return what was done, when it is stopped or has come to an end.

    `until_idle`: end when all that there was at the start is loaded. `once`: end after one micro-batch. `start`: begin
    there and not where the last consumer ended: positions, a time, "earliest" or "latest"; an append then adds rows
    again. `end`: end there, in the same words, and load nothing behind it; "latest" and a time to come are where the
    source ends now. `control`: stops and pauses it from another thread. `observer` is told of each micro-batch. A
    failure that may pass is no end: what failed begins again, from 0.5 s later to 60 s; with `until_idle`, `once` or
    `end` at most ten times in a row. Raises the EmatixError that it ended with; CancelledError after Ctrl-C. `slot`:
    which of several processes on this machine this is.
    """
    env = Environment(
        project=project, settings=settings or Settings.load(), progress=progress or Silent(), clock=clock,
        redactor=redactor or Redactor(), lock_wait=lock_wait,
    )  # fmt: skip
    control, began = control or Control(), time.monotonic()
    until = Until(idle=until_idle, once=once, start=start)
    watching = observer or Unobserved()
    works = [
        _Supervised(env, stream, target, until, end, control=control, observer=watching, slot=slot)
        for target in stream.targets
    ]
    try:
        _run(stream, works, control)
    except KeyboardInterrupt:
        raise CancelledError("stopped by Ctrl-C; what was not committed is rolled back", where=_where(stream)) from None
    except EmatixError as error:
        raise error.at(_where(stream)).masked(env.redactor.mask) from error.__cause__
    return StreamResult(stream.name, time.monotonic() - began, tuple(work.total for work in works))


def _run(stream: Stream, works: Sequence[_Supervised], control: Control) -> None:
    """Have each consumer work in a thread of its own; raise the first error that one ended with."""
    with ThreadPoolExecutor(len(works), thread_name_prefix=f"stream-{stream.name}") as pool:
        futures = [pool.submit(work.run) for work in works]
        try:
            _watch(works, futures, control)
        except KeyboardInterrupt:
            control.cancel()
            _watch(works, futures, control)
            raise
    for future in futures:
        if (error := future.exception()) is not None:
            raise error


def _watch(works: Sequence[_Supervised], futures: Sequence[Future[None]], control: Control) -> None:
    """Wait for the consumers to end, and have them roll back when that is asked for."""
    while wait(futures, timeout=_LOOK_SECONDS).not_done:
        if control.cancelled:
            for work in works:
                work.cancel()


class _Supervised:
    """The consumer of one target, with what it did in all its lives."""

    def __init__(
        self,
        env: Environment,
        stream: Stream,
        target: Target,
        until: Until,
        end: Start | None,
        *,
        control: Control,
        observer: Observer,
        slot: int,
    ) -> None:
        self._env, self._stream, self._target = env, stream, target
        self._until, self._end, self._control, self._observer = until, end, control, observer
        self._slot = slot
        self._failures = 0
        self._cancellation = Cancellation()
        self._consumer: Consumer | None = None
        self.total = TargetConsumed(stream.label(target))

    def run(self) -> None:
        """Consume until there is an end; stop the consumers of the other targets when this one cannot go on."""
        try:
            while not self._control.stopping and not self._lived():
                pass
        except BaseException:
            self._control.stop()
            raise

    def _lived(self) -> bool:
        """Consume until it ends or fails; return whether it came to its end."""
        try:
            if self._end is not None:  # found once: it is the same after a failure
                self._until = replace(self._until, before=places(self._env, self._stream, self._end))
                self._end = None
            with consumer_of(self._stream)(
                self._env, self._stream, self._target, control=self._control, observer=self,
                cancellation=self._cancellation, slot=self._slot,
            ) as consumer:  # fmt: skip
                self._consumer = consumer
                consumer.run(self._until)
        except EmatixError as error:
            if not is_transient(error) or self._cancellation.reason is not None:
                raise error.at(f"table {self._target.name}") from error.__cause__
            self._failures += 1
            finite = self._until.idle or self._until.once or self._until.before or self._end is not None
            if finite and self._failures > _FINITE_RESTARTS:
                raise error.at(f"table {self._target.name}") from error.__cause__
            pause = RESTARTS.wait(self._failures)
            text = str(error.masked(self._env.redactor.mask))
            _log.warning("stream %s, %s: begins again in %.1f s: %s", self._stream.name, self.total.target, pause, text)
            self.failed(self.total.target, text, pause)
            self._control.wait(pause)
            return False
        finally:
            self._consumer = None
        return True

    def cancel(self) -> None:
        """Stop what is under way; it is rolled back. From another thread."""
        self._cancellation.cancel()
        if (consumer := self._consumer) is not None:
            consumer.interrupt()

    def landed(self, target: str, done: Landed) -> None:
        """Count, and pass it on. What was asked for as a start holds once."""
        self._failures = 0
        self._until = replace(self._until, start=None)
        self.total = self.total.after(done)
        self._observer.landed(target, done)

    def idle(self, target: str, behind: int | None) -> None:
        """Pass it on."""
        self._failures = 0
        self._observer.idle(target, behind)

    def stands(self, target: str, behind: int | None, positions: Positions) -> None:
        """Pass it on."""
        self._observer.stands(target, behind, positions)

    def searching(self, target: str, looked: int, of: int, found: int) -> None:
        """Pass it on."""
        self._observer.searching(target, looked, of, found)

    def failed(self, target: str, error: str, retry_in: float) -> None:
        """Count, and pass it on."""
        self.total = replace(self.total, restarts=self.total.restarts + 1)
        self._observer.failed(target, error, retry_in)


def consumer_of(stream: Stream) -> type[Consumer]:
    """Return the class of the stream's consumers: with a window or a join it is another one."""
    if stream.join is not None:
        from ematix_core.streaming.joined import JoinConsumer, WindowedJoinConsumer

        return JoinConsumer if stream.window is None else WindowedJoinConsumer
    if stream.window is not None:
        from ematix_core.streaming.windowed import WindowConsumer

        return WindowConsumer
    return Consumer


def _where(stream: Stream) -> str:
    return f"stream {stream.name}"
