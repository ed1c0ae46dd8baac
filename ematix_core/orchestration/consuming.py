"""Consuming a stream in a process of an orchestrator, which starts the next one itself: one consumer at a time."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import Environment
from ematix_core.engine.progress import Silent
from ematix_core.errors import CancelledError
from ematix_core.orchestration.resting import Rest
from ematix_core.streaming import consume_stream
from ematix_core.streaming.control import Control
from ematix_core.streaming.opening import open_source
from ematix_core.streaming.sole import LEASE_SECONDS, alone
from ematix_core.streaming.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ematix_core.backends.stream_protocols import Positions
    from ematix_core.engine.progress import Progress
    from ematix_core.model.stream import Stream
    from ematix_core.orchestration.site import OpenSite
    from ematix_core.streaming.control import Landed, Observer
    from ematix_core.streaming.result import StreamResult


@dataclass(frozen=True)
class Consumed:
    """What one consumer did, and why it ended.

    `rested`: whether there was nothing to do. `end`: where the source ended then, for a StreamWatch, which says when
    there is again; None: the stream is paused.
    """

    result: StreamResult
    rested: bool = False
    end: Positions | None = None


def consume_attempt(
    site: OpenSite,
    stream: str,
    *,
    carrier: str,
    until_idle: bool = False,
    once: bool = False,
    seconds: float | None = None,
    rest_after: float | None = None,
    lease_seconds: float = LEASE_SECONDS,
    cancellation: Cancellation | None = None,
    observer: Observer | None = None,
    progress: Progress | None = None,
) -> Consumed:
    """Consume the stream in the project's folder as its only consumer, and return what was done. Blocks.

    First it waits for the consumer before it to end, or for the lease of a dead one: up to `lease_seconds`. See
    `streaming.sole`. It ends after `seconds`, when what it was at is loaded; with `until_idle` or `once` as
    `consume_stream` does; and with `rest_after` when nothing has come for so many seconds, or the stream is paused.
    None of them: it goes on. `flow streams` and `flow pause` see it as one of `flow consume`. `observer` is told of
    each micro-batch. `cancellation`: rolls back what it is at, and ends it. Raises the EmatixError that it ended with:
    `ematix_core.errors.is_transient` tells whether to try again; LeaseLostError: another one consumes; ProjectError
    for an unknown stream.
    """
    button, teller, whole = cancellation or Cancellation(), progress or Silent(), Control()
    button.on_cancel(whole.cancel)
    with site.entered(), ExitStack() as stack:
        declared = site.stream(stream)
        try:
            held = stack.enter_context(
                alone(
                    site.store, declared.name, holder=carrier, control=whole, seconds=lease_seconds,
                    waiting=lambda told: teller.waiting(declared.name, told),
                )
            )  # fmt: skip
            statistics = stack.enter_context(Statistics(site.store, declared))
            rest = _rest(site, declared, rest_after, whole.stop, stack)
            stack.enter_context(_ended_after(seconds, whole.stop))
            watching = _Several([statistics, *filter(None, (rest, observer))])
            result = consume_stream(
                declared, site.project, until_idle=until_idle, once=once, settings=site.settings, progress=teller,
                redactor=site.redactor, control=held.of(lambda: _is_paused(statistics, rest)), observer=watching,
            )  # fmt: skip
            button.check()  # a consumer that had nothing to roll back just ends
        except CancelledError:
            button.check()  # whose reason says more, such as a limit of time
            raise
    return Consumed(result) if rest is None else Consumed(result, rest.rested, rest.end)


def _rest(
    site: OpenSite, stream: Stream, seconds: float | None, end: Callable[[], None], stack: ExitStack
) -> Rest | None:
    """Return what ends the consumer when there is nothing to do, if that is asked for."""
    if seconds is None:
        return None
    source = open_source(Environment(site.project, site.settings, redactor=site.redactor), stream)
    stack.callback(source.close)
    return Rest(source, stream, seconds, end)


def _is_paused(statistics: Statistics, rest: Rest | None) -> bool:
    if statistics.paused and rest is not None:
        rest.paused()
    return statistics.paused


@contextmanager
def _ended_after(seconds: float | None, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` after so many seconds, if the block takes that long."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Several:
    """Tells several observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def landed(self, target: str, done: Landed) -> None:
        """See Observer."""
        for one in self._observers:
            one.landed(target, done)

    def idle(self, target: str, behind: int | None) -> None:
        """See Observer."""
        for one in self._observers:
            one.idle(target, behind)

    def stands(self, target: str, behind: int | None, positions: Positions) -> None:
        """See Observer."""
        for one in self._observers:
            one.stands(target, behind, positions)

    def searching(self, target: str, looked: int, of: int, found: int) -> None:
        """See Observer."""
        for one in self._observers:
            one.searching(target, looked, of, found)

    def failed(self, target: str, error: str, retry_in: float) -> None:
        """See Observer."""
        for one in self._observers:
            one.failed(target, error, retry_in)
