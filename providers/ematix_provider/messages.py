"""Messages that set workflows off, for Airflow's event-driven scheduling: an inbox folder, or a table as a queue.

    trigger = MessageQueueTrigger(scheme="ematix", workflow="imports", modules=["pipelines"], directory="/opt/project")
    with DAG("imports", schedule=Asset("imports", watchers=[AssetWatcher("messages", trigger)])): ...

The DAG begins with an EmatixGateOperator, which takes the message.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from airflow.providers.common.messaging.providers.base_provider import BaseMessageQueueProvider
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ematix_core.orchestration import Messages

SCHEME = "ematix"
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 60.0
_LONGEST_PAUSE = 60.0
_MOST_FAILURES = 10
"""More make the pause no longer."""


class EmatixMessageTrigger(BaseEventTrigger):
    """Fires for each message of the workflow's `on_message` source: `{"workflow": ..., "position": ...}`.

    One at a time, in the order in which they came: the next one when the run of the one before has ended. A message
    that no run has taken is told of again every 60 seconds. The project is loaded in the triggerer, once. What is known
    stands in the store, so nothing is lost, or told twice, when a triggerer starts anew.
    """

    def __init__(
        self,
        *,
        workflow: str,
        ematix_conn_id: str = "ematix_default",
        modules: Sequence[str] = (),
        directory: str = "",
        poll_seconds: float = LOOK_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self._workflow = workflow
        self._ematix_conn_id = ematix_conn_id
        self._modules = list(modules)
        self._directory = directory
        self._poll_seconds = poll_seconds
        self._open = ExitStack()
        self._messages: Messages | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes an equal trigger, in any triggerer."""
        return "ematix_provider.messages.EmatixMessageTrigger", {
            "workflow": self._workflow,
            "ematix_conn_id": self._ematix_conn_id,
            "modules": self._modules,
            "directory": self._directory,
            "poll_seconds": self._poll_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event a message, without end."""
        told, told_at, failures = "", 0.0, 0
        look = sync_to_async(self._look, thread_sensitive=False)  # a slow source holds up no other trigger
        while True:
            try:
                position = await look()
                failures = 0
            except EmatixError as error:
                # Whatever it is, somebody may put it right; and a trigger that ends is not renewed.
                failures = min(failures + 1, _MOST_FAILURES)
                pause = min(self._poll_seconds * 2**failures, _LONGEST_PAUSE)
                self.log.warning(
                    "%s: no messages can be read, asking again in %.0f s: %s", self._workflow, pause, error
                )
                await asyncio.sleep(pause)
                continue
            now = time.monotonic()
            if position is not None and (position != told or now - told_at >= AGAIN_SECONDS):
                told, told_at = position, now
                event = {"workflow": self._workflow, "position": position}
                yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow gives it no types
            await asyncio.sleep(self._poll_seconds)

    async def cleanup(self) -> None:
        """Release source and store."""
        await sync_to_async(self._open.close, thread_sensitive=False)()

    def _look(self) -> str | None:
        if self._messages is None:
            self._messages = self._opened()
        return self._messages.look()

    def _opened(self) -> Messages:
        from ematix_core.orchestration import Messages
        from ematix_provider.hooks import EmatixHook

        hook = EmatixHook(self._ematix_conn_id, modules=self._modules, directory=self._directory)
        with ExitStack() as stack:
            site = stack.enter_context(hook.site().opened())
            messages = Messages(site, site.unit(self._workflow))
            stack.callback(messages.close)
            self._open = stack.pop_all()
        return messages


class EmatixMessageQueueProvider(BaseMessageQueueProvider):
    """Makes `MessageQueueTrigger(scheme="ematix", workflow=...)` an EmatixMessageTrigger of the same arguments."""

    scheme = SCHEME

    def trigger_class(self) -> type[BaseEventTrigger]:
        """Return the trigger's class."""
        return EmatixMessageTrigger
