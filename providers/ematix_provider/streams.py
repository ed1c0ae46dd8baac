"""The trigger that waits, without a worker, until a stream has something to do again."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from ematix_core.errors import EmatixError, StoreError, is_transient
from ematix_provider import triggers
from ematix_provider.triggers import POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from ematix_core.orchestration import StreamWatch

_LONGEST_PAUSE = 60.0


class EmatixStreamTrigger(BaseTrigger):
    """Fires once the stream's source has more than it had, or at `until` (ISO 8601).

    The event is `{"new": ..., "state": ...}`: whether there is more, and the `state` that was given to the trigger:
    `airflow dags test` gives a task nothing else back.
    `end`: where the source ended, as a consumer has told it; None: the stream was paused. While it is paused, nothing
    is new. Looks at store and source every `poll_seconds`, first after 10 s, and reads no messages; while they do not
    answer, it waits.
    The project is loaded in the triggerer, once.
    """

    def __init__(
        self,
        *,
        stream: str,
        end: Mapping[str, Any] | None,
        until: str,
        state: Mapping[str, Any],
        ematix_conn_id: str = "ematix_default",
        modules: Sequence[str] = (),
        directory: str = "",
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self._stream, self._end = stream, end
        self._until, self._state = until, dict(state)
        self._place: dict[str, Any] = {"modules": list(modules), "directory": directory}
        self._ematix_conn_id = ematix_conn_id
        self._poll_seconds = poll_seconds
        self._open = ExitStack()
        self._watch: StreamWatch | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes an equal trigger, in any triggerer. Holds no secret."""
        return "ematix_provider.streams.EmatixStreamTrigger", {
            "stream": self._stream, "end": self._end, "until": self._until, "state": self._state,
            "ematix_conn_id": self._ematix_conn_id, **self._place, "poll_seconds": self._poll_seconds,
        }  # fmt: skip

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        look = sync_to_async(self._look, thread_sensitive=False)  # a slow source holds up no other trigger
        until, pause, new = datetime.fromisoformat(self._until), triggers.FIRST_LOOK_SECONDS, False
        while not new and (left := (until - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(pause, left))
            try:
                new, pause = await look(), self._poll_seconds
            except EmatixError as error:
                if not (is_transient(error) or isinstance(error, StoreError)):
                    raise
                pause = min(pause * 2, _LONGEST_PAUSE)
                self.log.warning("the stream's source or store does not answer, asking again: %s", error)
        yield TriggerEvent({"new": new, "state": self._state})  # type: ignore[no-untyped-call]  # Airflow gives it no types

    async def cleanup(self) -> None:
        """Release source and store."""
        await sync_to_async(self._open.close, thread_sensitive=False)()

    def _look(self) -> bool:
        if self._watch is None:
            self._watch = self._opened()
        return self._watch.look()

    def _opened(self) -> StreamWatch:
        from ematix_core.orchestration import StreamWatch
        from ematix_provider.hooks import EmatixHook

        with ExitStack() as stack:
            site = stack.enter_context(EmatixHook(self._ematix_conn_id, **self._place).site().opened())
            watch = StreamWatch(site, self._stream, self._end)
            stack.callback(watch.close)
            self._open = stack.pop_all()
        return watch
