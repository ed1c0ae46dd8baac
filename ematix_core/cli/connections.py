"""`flow connections`: what connections there are, and whether they can be reached."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli import failure
from ematix_core.cli.exit_codes import FAILED
from ematix_core.cli.list import connection_data, connection_rows
from ematix_core.cli.loading import known_connections, load_if_any
from ematix_core.cli.options import ListByDefault, project_options
from ematix_core.cli.output import print_json, print_table, styled_status
from ematix_core.config.connections import with_sources
from ematix_core.config.settings import Settings
from ematix_core.errors import ConnectError, EmatixError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ematix_core.config.connections import FoundConnection
    from ematix_core.model.connection import Connection

AT_ONCE = 8
"""Connections that are checked at one time, so that one that does not answer holds up no other."""


@click.group("connections", cls=ListByDefault)
def connections() -> None:
    """List connections; check that they can be reached.

    They come from the project, EMATIX_CONNECTION_<NAME> variables, ./ematix.toml and the user's ematix.toml, in this
    order. Without a subcommand: list.
    """


@connections.command("list")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@project_options
def list_connections(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """List connections, secrets masked, and where each is set."""
    found = known_connections(names, load_if_any(modules))
    data = [connection_data(one.connection) | {"from": one.origin} for one in found]
    if as_json:
        print_json({"connections": data})
    elif not data:
        click.echo("no connection is declared")
    else:
        rows = [(*row, one["from"]) for row, one in zip(connection_rows(data), data, strict=True)]
        print_table(("connection", "kind", "settings", "from"), rows)


@connections.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@project_options
def check(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """Open each connection and say what answers. Exit code 1 when one does not.

    A database file that is not there yet is fine when a job writes to it and its folder can be written.
    """
    project = load_if_any(modules)
    written = {target.connection_name for job in project.jobs.values() for target in job.targets}
    checks = check_all(known_connections(names, project), project.connections, written)
    if as_json:
        print_json({"connections": [one.data() for one in checks]})
    elif not checks:
        click.echo("no connection is declared")
    else:
        print_table(("connection", "kind", "status", "seconds", "answer"), [one.row() for one in checks])
        for one in checks:
            if one.error:
                click.echo(failure.text(one.error.at(f"connection {one.name}")), err=True)
    if any(one.error for one in checks):
        click.get_current_context().exit(FAILED)


@dataclass(frozen=True)
class Check:
    """What became of opening one connection."""

    name: str
    kind: str
    seconds: float
    answer: str = ""
    error: EmatixError | None = None

    @property
    def status(self) -> str:
        """`ok` or `failed`."""
        return "failed" if self.error else "ok"

    def data(self) -> dict[str, Any]:
        """Return the check as plain data."""
        error = failure.as_data(self.error) if self.error else None
        base = {"connection": self.name, "kind": self.kind, "status": self.status}
        return base | {"seconds": round(self.seconds, 3), "answer": self.answer, "error": error}

    def row(self) -> tuple[Any, ...]:
        """Return the check as a row of a table."""
        answer = type(self.error).__name__ if self.error else self.answer
        return (self.name, self.kind, styled_status(self.status), self.seconds, answer)


def check_all(
    found: Sequence[FoundConnection], declared: Mapping[str, Connection], written: Collection[str] = ()
) -> list[Check]:
    """Open the connections, several at a time, and return the checks in the order given.

    `declared` are the project's own, which others may have as their sources. `written` names the
    connections that jobs write to: the first run makes their files.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda one: _check(one.connection, declared, made=one.connection.name in written), found))


def _check(connection: Connection, declared: Mapping[str, Connection], *, made: bool) -> Check:
    from ematix_core.engine import check_connection

    begun = time.monotonic()
    try:
        answer, error = check_connection(with_sources(connection, declared, Settings.load())), None
    except EmatixError as caught:
        to_come = made and isinstance(caught, ConnectError) and _to_come(connection)
        answer, error = ("not there yet: the first run creates it", None) if to_come else ("", caught)
    except Exception as caught:  # noqa: BLE001 - a backend's fault must not hide what the other connections answer
        answer, error = "", ConnectError(f"unexpected {type(caught).__name__}: {caught}")
    return Check(connection.name, connection.kind, time.monotonic() - begun, answer, error)


def _to_come(connection: Connection) -> bool:
    """Say whether the connection is a file that is not there, in a folder where a job can make it."""
    from ematix_core.backends import registry
    from ematix_core.config.secrets import resolve_connection

    try:
        target = registry.target(resolve_connection(connection))
    except EmatixError:
        return False
    file = target.exclusive()
    target.close()
    return file is not None and not file.exists() and file.parent.is_dir() and os.access(file.parent, os.W_OK)
