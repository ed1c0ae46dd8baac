"""Which poller a message source has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.scheduler.inbox import Inbox
from ematix_core.scheduler.remote_inbox import RemoteInbox
from ematix_core.scheduler.table_queue import TableQueue
from ematix_core.scheduler.table_versions import TableVersions
from ematix_core.scheduler.topic_messages import TopicMessages

if TYPE_CHECKING:
    from ematix_core.engine.environment import Environment
    from ematix_core.model.message import MessageSource
    from ematix_core.scheduler.messages import MessagePoller


def open_poller(source: MessageSource, environment: Environment) -> MessagePoller:
    """Return what finds the messages of the source. Connects to nothing yet.

    Raises UnsupportedError when the connection's kind cannot be such a source, and what looking it up raises.
    """
    connection = environment.connection(source.connection)
    if source.versions_of:
        return TableVersions(source, connection, environment.redactor.mask)
    if source.topic:
        return TopicMessages(source, connection, environment.redactor.mask)
    if source.table:
        return TableQueue(source, connection, environment.redactor.mask)
    if connection.kind == "objects" and "://" in str(connection.settings().get("path", "")):
        return RemoteInbox(source, connection)
    return Inbox(source, connection)
