"""Which stream a name of an `objects` connection is: a table of ours by its versions, or the files that come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.objects.manifest import History
from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.objects.table_log import ManifestLog
from ematix_core.backends.objects.tail import DirectoryTail
from ematix_core.backends.storage.paths import below
from ematix_core.backends.tailing import options_of
from ematix_core.backends.version_tail import VersionTail
from ematix_core.model.duration import parse_seconds

if TYPE_CHECKING:
    from ematix_core.backends.stream_protocols import StreamQuery, StreamSource
    from ematix_core.model.connection import Connection

WINDOW = "1 hour"


def follow(connection: Connection, query: StreamQuery) -> StreamSource:
    """Return the stream. Raises ConfigError, DeclarationError for an option."""
    where = f"stream {query.name} of connection {connection.name}"
    store = ObjectSource(connection).store
    path = below(query.name)
    for table in dict.fromkeys([path, path.replace(".", "/")]):
        if History(store, table).versions():
            options = options_of(query, {"on_rewrite": "fail"}, where)
            return VersionTail(ManifestLog(connection, table), options["on_rewrite"])
    options = options_of(query, {"window": WINDOW, "on_change": "fail"}, where)
    window = parse_seconds(options["window"], "window")
    return DirectoryTail(
        connection, path, window=window, on_change=options["on_change"], leave_out=query.leave_out, wanted=query.wanted
    )
