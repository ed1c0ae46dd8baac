"""Which poller a message source has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.scheduler.inbox import Inbox
from ematix_core.scheduler.table_queue import TableQueue

if TYPE_CHECKING:
    from ematix_core.engine.environment import Environment
    from ematix_core.model.message import MessageSource
    from ematix_core.scheduler.messages import MessagePoller


def open_poller(source: MessageSource, environment: Environment) -> MessagePoller:
    """Return what finds the messages of the source. Connects to nothing yet.

    Raises UnsupportedError when the connection's kind cannot be such a source, and what looking it up raises.
    """
    connection = environment.connection(source.connection)
    if source.table:
        return TableQueue(source, connection, environment.redactor.mask)
    return Inbox(source, connection)
