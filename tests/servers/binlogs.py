"""MariaDB and MySQL with the binary log that streams of changes need, each on a server of the tests' own."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pymysql

from ematix_core.backends import registry
from ematix_core.backends.mysql.address import address
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.model.connection import MySQLConnection
from tests.servers.own import own_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.backends.stream_protocols import StreamSource
    from tools.servers.server import Server

AT_ONCE = PollLimits(seconds=0)
DATABASE = "ematix_shop"
Change = tuple[Any, ...]
NAMED = "--binlog-row-metadata=FULL"
GTIDS = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")


@contextmanager
def changing_server(kind: str, *options: str) -> Iterator[Server]:
    """Start a server whose log names columns and has GTIDs; further options come last."""
    with own_server(kind, options=[*needed(kind), *options]) as server:
        yield server


def needed(kind: str) -> Sequence[str]:
    """Return the options that a log needs beside ROW and FULL images, which the servers have anyway."""
    return (NAMED, *GTIDS) if kind == "mysql" else (NAMED,)


@contextmanager
def opened(
    url: str,
    table: str = "orders",
    start: Any = "earliest",  # noqa: ANN401 - see Start
    **options: Any,  # noqa: ANN401 - the source's own
) -> Iterator[StreamSource]:
    with closing(registry.stream_source(MySQLConnection("shop", url=url), StreamQuery(table, options))) as source:
        source.seek(start)
        yield source


def table_of(source: StreamSource, limits: PollLimits = AT_ONCE) -> pa.Table:
    found = []
    while (polled := source.poll(limits)) is not None:
        found.append(pa.Table.from_batches([polled.rows]))
    return pa.concat_tables(found, promote_options="default") if found else pa.table({})


def changes(source: StreamSource, limits: PollLimits = AT_ONCE) -> list[Change]:
    """Return operation and values of all changes that there are."""
    rows = table_of(source, limits).to_pylist()
    for row in rows:
        assert row["_deleted"] == (row["_op"] == "delete")
    return [(row["_op"], *(value for name, value in row.items() if not name.startswith("_"))) for row in rows]


@contextmanager
def cursor(url: str) -> Iterator[Any]:
    arguments = address(MySQLConnection("x", url=url)).arguments()
    with closing(pymysql.connect(**arguments)) as connection, connection.cursor() as opened:
        yield opened


def number(url: str, sql: str) -> int:
    with cursor(url) as asked:
        asked.execute(sql)
        return int(asked.fetchall()[0][0])
