"""A PostgreSQL of a test module's own: to make a replication slot waits for every transaction that is open there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers.own import own_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.servers.server import Server


@contextmanager
def replicating(*options: str, settings: Sequence[str] = ()) -> Iterator[Server]:
    """Start one with room for many slots; `settings` are added, such as `wal_sender_timeout=2s`."""
    named = ("max_replication_slots=200", "max_wal_senders=50", *settings)
    with own_server("postgres", options=[flag for name in named for flag in ("-c", name)] + list(options)) as server:
        yield server
