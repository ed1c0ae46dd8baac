"""Servers of a test's own: to be killed in the middle of a load, to be read only, to have little disk."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.servers.reach import execute
from tools.servers.kinds import make
from tools.servers.postgres import Postgres
from tools.servers.system import owned_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.servers.server import Server

# As tests/e2e/test_full_disk.py: a mount that only this process sees. The inner namespace gives the server back an
# account that is not root, which database servers refuse.
_MOUNT = (
    'mount -t tmpfs -o size="$1" tmpfs "$0" && shift && exec unshare --user --map-user=65534 --map-group=65534 "$@"'
)


@contextmanager
def own_server(kind: str, *, options: Sequence[str] = ()) -> Iterator[Server]:
    """Start a server on a folder and port of its own and take both away at the end.

    `server.kill()` is `kill -9` of all its processes; `server.start()` brings it back with its data, at the same port.
    """
    server = _make(kind, options)
    try:
        server.start()
        yield server
    finally:
        _remove(server)


@contextmanager
def postgres_with_little_disk(*, megabytes: int = 64) -> Iterator[Server]:
    """As own_server, with a tablespace `small` on a disk of so many megabytes, gone when the process ends.

    There is none for MariaDB and MySQL: on such a disk the one ends itself, and the other waits for space for good.
    """
    server = _make("postgres", ())
    owned_folder(server.kind_folder)
    disk = owned_folder(owned_folder(server.folder) / "disk")
    server.prefix = ["unshare", "--map-root-user", "--mount", "/bin/sh", "-c", _MOUNT, str(disk), f"{megabytes}m"]
    try:
        server.start()
        execute(server.url, f"CREATE TABLESPACE small LOCATION '{disk}'")
        yield server
    finally:
        _remove(server)


@contextmanager
def primary_and_standby() -> Iterator[tuple[Postgres, Postgres]]:
    """Start a PostgreSQL and a read-only standby that streams from it."""
    with own_server("postgres") as primary:
        standby = _make("postgres", ())
        assert isinstance(primary, Postgres)
        assert isinstance(standby, Postgres)
        owned_folder(standby.folder)
        try:
            standby.become_standby_of(primary)
            standby.start()
            yield primary, standby
        finally:
            _remove(standby)


@contextmanager
def read_only_server(kind: str) -> Iterator[tuple[Server, str]]:
    """Start a MariaDB or MySQL with read_only=ON; the URL is of a user whom that stops, as it lacks SUPER."""
    with own_server(kind, options=["--read-only=ON"]) as server:
        yield server, server.accounts(server.url)["password"]


def _make(kind: str, options: Sequence[str]) -> Server:
    return make(kind, instance=f"own-{uuid4().hex[:8]}", options=options)


def _remove(server: Server) -> None:
    server.kill()
    shutil.rmtree(server.folder, ignore_errors=True)
